// Package push writes plain JSON without learning its types: it walks through a value
// once. It exists for the start of a container, as encoding/json spends half a
// millisecond and a quarter of a megabyte on making plans for types, which pay from the
// second value of a type on, and a start writes one of each.
//
// What it writes is what encoding/json writes, byte for byte. What it has no rule for,
// fractions and keys that are no strings among them, is left to encoding/json.
package push

import (
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// JSON is json.Marshal. A value that leads back to itself is not for it.
func JSON(v any) ([]byte, error) {
	data, err := write(v)
	if err != nil {
		return json.Marshal(v) // which may have better words for what is wrong
	}
	return data, nil
}

// write fails where a value has a part that there is no rule for.
func write(v any) ([]byte, error) {
	t := text{data: make([]byte, 0, 1024)}
	err := t.value(reflect.ValueOf(v))
	return t.data, err
}

// errUnusual says that encoding/json has the word.
var errUnusual = errors.New("a kind of value that is not written here")

// text is JSON that is being written.
type text struct{ data []byte }

func (t *text) add(s string) { t.data = append(t.data, s...) }

func (t *text) value(v reflect.Value) error {
	if !v.IsValid() {
		t.add("null")
		return nil
	}
	if writesItself(v.Type()) {
		return t.foreign(v)
	}
	switch v.Kind() {
	case reflect.Bool:
		t.data = strconv.AppendBool(t.data, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		t.data = strconv.AppendInt(t.data, v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		t.data = strconv.AppendUint(t.data, v.Uint(), 10)
	case reflect.String:
		if v.Type() == number {
			return errUnusual
		}
		return t.string(v.String())
	case reflect.Pointer, reflect.Interface:
		return t.value(v.Elem())
	case reflect.Struct:
		return t.object(v)
	case reflect.Map:
		return t.table(v)
	case reflect.Slice:
		if v.IsNil() {
			t.add("null")
			return nil
		}
		if v.Type().Elem().Kind() == reflect.Uint8 { // base64
			return errUnusual
		}
		return t.list(v)
	case reflect.Array:
		return t.list(v)
	default:
		return errUnusual
	}
	return nil
}

var (
	marshaler     = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	number        = reflect.TypeFor[json.Number]()
)

// writesItself tells whether encoding/json asks values of a type, or their addresses, what they are.
func writesItself(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return false // what it points to is asked next
	}
	p := reflect.PointerTo(t)
	return p.NumMethod() > 0 && (p.Implements(marshaler) || p.Implements(textMarshaler))
}

// foreign writes a value that says itself what it is.
func (t *text) foreign(v reflect.Value) error {
	if !v.CanInterface() {
		return errUnusual
	}
	if !v.Type().Implements(marshaler) && !v.Type().Implements(textMarshaler) {
		return errUnusual // its address does, and whether it has one decides
	}
	data, err := json.Marshal(v.Interface())
	t.data = append(t.data, data...)
	return err
}

// string writes what needs no escapes; what does is encoding/json's.
func (t *text) string(s string) error {
	for i := range len(s) {
		if b := s[i]; b < ' ' || b >= 0x80 || b == '"' || b == '\\' || b == '<' || b == '>' || b == '&' {
			data, err := json.Marshal(s)
			t.data = append(t.data, data...)
			return err
		}
	}
	t.data = append(append(append(t.data, '"'), s...), '"')
	return nil
}

// next is what stands before the next member of a list or object: nothing where that
// is the first, as it was begun at start.
func (t *text) next(start int) {
	if len(t.data) > start {
		t.add(",")
	}
}

func (t *text) list(v reflect.Value) error {
	t.add("[")
	start := len(t.data)
	for i := range v.Len() {
		t.next(start)
		if err := t.value(v.Index(i)); err != nil {
			return err
		}
	}
	t.add("]")
	return nil
}

// table writes a map, sorted by its keys.
func (t *text) table(v reflect.Value) error {
	if v.IsNil() {
		t.add("null")
		return nil
	}
	if key := v.Type().Key(); key.Kind() != reflect.String || writesItself(key) {
		return errUnusual
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
	t.add("{")
	start := len(t.data)
	for _, key := range keys {
		t.next(start)
		if err := t.string(key.String()); err != nil {
			return err
		}
		t.add(":")
		if err := t.value(v.MapIndex(key)); err != nil {
			return err
		}
	}
	t.add("}")
	return nil
}

func (t *text) object(v reflect.Value) error {
	t.add("{")
	if err := t.fields(v, len(t.data)); err != nil {
		return err
	}
	t.add("}")
	return nil
}

// fields writes the members of an object that was begun at start. Those of an embedded
// struct stand among the others; no two may have one name.
func (t *text) fields(v reflect.Value, start int) error {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		tag, tagged := field.Tag.Lookup("json")
		if field.Anonymous {
			if tagged || field.Type.Kind() != reflect.Struct || writesItself(field.Type) {
				return errUnusual
			}
			if err := t.fields(v.Field(i), start); err != nil {
				return err
			}
			continue
		}
		if !field.IsExported() || tag == "-" {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if options != "" && options != "omitempty" {
			return errUnusual
		}
		if options == "omitempty" && empty(v.Field(i)) {
			continue
		}
		t.next(start)
		if err := t.string(cmp.Or(name, field.Name)); err != nil {
			return err
		}
		t.add(":")
		if err := t.value(v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

// empty is what encoding/json leaves out by "omitempty".
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	default:
		return v.IsZero()
	}
}
