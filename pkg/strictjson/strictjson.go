// Package strictjson decodes JSON that kactus does not trust, such as an annotation that a tenant
// wrote. Whatever two parsers of the same text could read differently is an error.
package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	kjson "sigs.k8s.io/json"
)

// Unmarshal decodes data, one JSON value, into v. In addition to what encoding/json rejects, it
// returns an error for everything that Check rejects and for keys that v does not have. Keys must
// match to the letter, case included.
func Unmarshal(data []byte, v any) error {
	if err := Check(data); err != nil {
		return err
	}
	strict, err := kjson.UnmarshalStrict(data, v)
	if err != nil {
		return typeError(err, v)
	}
	return unknownKeys(strict)
}

// Decode decodes data into v as Unmarshal does, but ignores keys that v does not have and does not
// call Check. Use it for the apiserver's answers, which grow keys over time.
func Decode(data []byte, v any) error {
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, v); err != nil {
		if syntax := CheckSyntax(data); syntax != nil {
			return syntax
		}
		return typeError(err, v)
	}
	return nil
}

// unknownKeys joins the first of the errors. An author of JSON can cause any number of them.
func unknownKeys(strict []error) error {
	const limit = 8
	reported := make([]error, 0, limit)
	for _, err := range strict[:min(len(strict), limit)] {
		var field kjson.FieldError
		if errors.As(err, &field) {
			err = fmt.Errorf("%.64s: unknown key", field.FieldPath())
		}
		reported = append(reported, err)
	}
	return errors.Join(reported...)
}

// typeError returns err, of decoding into v, in words that do not name Go's types.
func typeError(err error, v any) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err
	}
	problem := fmt.Sprintf("must be %s, got %.64s", kind(wrong.Type), wrong.Value)
	if wrong.Field == "" {
		return errors.New(problem)
	}
	return fmt.Errorf("%.256s: %s", keyPath(wrong.Field, reflect.TypeOf(v)), problem)
}

// keyPath returns the path of a key in a value of type t without the names of embedded types, which
// are no keys.
func keyPath(path string, t reflect.Type) string {
	for {
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		first, rest, more := strings.Cut(path, ".")
		if !more || t.Kind() != reflect.Struct {
			return path
		}
		field, ok := t.FieldByName(first)
		if !ok || !field.Anonymous {
			return path
		}
		path, t = rest, field.Type
	}
}

func kind(t reflect.Type) string {
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
