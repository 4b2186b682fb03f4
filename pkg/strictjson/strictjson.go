// Package strictjson decodes JSON from people and programs that kactus does not trust: what two readers of
// the same text could understand differently is an error.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode"

	kjson "sigs.k8s.io/json"
)

// MaxDepth is how deep objects and arrays may nest.
const MaxDepth = 64

// Unmarshal decodes data, one JSON value, into v. Beyond what encoding/json refuses, these are errors: keys
// that v does not have (names match to the letter), keys that occur twice in one object (see Check), and
// anything but white space behind the value.
func Unmarshal(data []byte, v any) error {
	if err := Check(data); err != nil {
		return err
	}
	strict, err := kjson.UnmarshalStrict(data, v)
	if err != nil {
		return inWords(err)
	}
	const told = 8
	unknown := make([]error, 0, told)
	for _, err := range strict[:min(len(strict), told)] {
		var field kjson.FieldError
		if errors.As(err, &field) {
			err = fmt.Errorf("unknown field %.64q", field.FieldPath())
		}
		unknown = append(unknown, err)
	}
	return errors.Join(unknown...)
}

// Decode decodes data into v, as Unmarshal does, but ignores keys that v does not have: for what the apiserver answers.
func Decode(data []byte, v any) error {
	return inWords(kjson.UnmarshalCaseSensitivePreserveInts(data, v))
}

// inWords says a wrong type without the words of Go.
func inWords(err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) || wrong.Field == "" {
		return err
	}
	return fmt.Errorf("%s: not %s but a JSON %.64s", wrong.Field, kindOf(wrong.Type), wrong.Value)
}

func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "an integer"
	}
}

// Check says whether data is one JSON value in which no object, however deep, has a key twice. Keys that differ
// only in upper and lower case count as the same: most CNI plugins are written in Go, whose decoder takes
// "Type" for "type", and would read another configuration than the one that kactus validated.
// The error names the path of the key.
func Check(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := checkValue(dec, "", 0); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("something follows the JSON value, from byte %d on", dec.InputOffset())
	}
	return nil
}

func checkValue(dec *json.Decoder, path string, depth int) error {
	token, err := dec.Token()
	if err != nil {
		return early(err)
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth == MaxDepth {
		return fmt.Errorf("%.256s: nested more than %d deep", pathOr(path, "the JSON value"), MaxDepth)
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
	return early(err)
}

// early is err, but one for all ways in which versions of Go say that the text ends too early.
func early(err error) error {
	var syntax *json.SyntaxError
	if errors.Is(err, io.EOF) || errors.As(err, &syntax) && syntax.Error() == "unexpected end of JSON input" {
		return io.ErrUnexpectedEOF
	}
	return err
}

func checkObject(dec *json.Decoder, path string, depth int) error {
	seen := map[string]string{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return early(err)
		}
		key, _ := token.(string)
		keyPath := key
		if path != "" {
			keyPath = path + "." + key
		}
		if first, dup := seen[fold(key)]; dup {
			if first == key {
				return fmt.Errorf("%.256s: the key occurs twice", keyPath)
			}
			return fmt.Errorf("%.256s: the key occurs twice, as %.64q and as %.64q", keyPath, first, key)
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

// fold maps keys that encoding/json holds for the same to one string. It matches letters as Unicode folds
// them, so that "K" is also the Kelvin sign and "s" the long s.
func fold(key string) string { return strings.Map(foldRune, key) }

func foldRune(r rune) rune {
	least := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		least = min(least, other)
	}
	return least
}

func pathOr(path, otherwise string) string {
	if path == "" {
		return otherwise
	}
	return path
}
