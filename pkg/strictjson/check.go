package strictjson

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
)

// MaxDepth is how deep objects and arrays may nest.
const MaxDepth = 64

// Check returns an error unless data is one JSON value, nested at most MaxDepth deep, in which no
// object has a key twice. The error names the path of the key, or the byte where the syntax is
// wrong.
//
// Keys that differ only in case count as the same. Most CNI plugins are written in Go, whose
// decoder takes "Type" for "type", and would read a configuration that kactus did not validate.
func Check(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	err := checkValue(dec, "", 0)
	if err == nil {
		return checkEnd(dec)
	}
	return cmp.Or(CheckSyntax(data), err) // err of invalid JSON does not name the byte
}

// CheckSyntax returns an error that names the byte where data stops being one JSON value. Unlike
// Check, it accepts duplicate keys.
func CheckSyntax(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	err := dec.Decode(new(json.RawMessage))
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return checkEnd(dec)
	case errors.As(err, &syntax):
		return fmt.Errorf("invalid JSON at byte %d, near %.16q", syntax.Offset, data[syntax.Offset-1:])
	default: // io.EOF or io.ErrUnexpectedEOF: nothing else ends the reading of a byte slice
		return errors.New("invalid JSON: unexpected end")
	}
}

// checkEnd returns an error if anything but white space follows the value that dec has read.
func checkEnd(dec *json.Decoder) error {
	end := dec.InputOffset()
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("invalid JSON: data follows the first value, which ends at byte %d", end)
	}
	return nil
}

func checkValue(dec *json.Decoder, path string, depth int) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth == MaxDepth {
		return fmt.Errorf("%.256s: nested more than %d deep", cmp.Or(path, "the JSON value"), MaxDepth)
	}
	if delim == '{' {
		err = checkObject(dec, path, depth)
	} else {
		err = checkArray(dec, path, depth)
	}
	if err != nil {
		return err
	}
	_, err = dec.Token() // the closing delimiter
	return err
}

func checkObject(dec *json.Decoder, path string, depth int) error {
	seen := map[string]string{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string)
		keyPath := key
		if path != "" {
			keyPath = path + "." + key
		}
		if first, dup := seen[fold(key)]; dup {
			if first == key {
				return fmt.Errorf("%.256s: key occurs twice", keyPath)
			}
			return fmt.Errorf("%.256s: key occurs twice, as %.64q and as %.64q", keyPath, first, key)
		}
		seen[fold(key)] = key
		if err := checkValue(dec, keyPath, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func checkArray(dec *json.Decoder, path string, depth int) error {
	for i := 0; dec.More(); i++ {
		if err := checkValue(dec, path+"["+strconv.Itoa(i)+"]", depth+1); err != nil {
			return err
		}
	}
	return nil
}

// fold maps keys that encoding/json takes for the same to one string. It folds case as Unicode
// does: the Kelvin sign is a "K", and the long s is an "s".
func fold(key string) string { return strings.Map(foldRune, key) }

func foldRune(r rune) rune {
	least := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		least = min(least, other)
	}
	return least
}
