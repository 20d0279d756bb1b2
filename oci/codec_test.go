package oci

import (
	"reflect"
	"testing"
)

// fill gives every field of a config a value of its own, so that one which the codec
// forgets is seen.
func fill(v reflect.Value, next *uint64) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), next)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), next)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), next)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), next)
		}
	case reflect.String:
		*next++
		v.SetString("é\x00" + string(rune('a'+*next%26)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		*next++
		v.SetInt(int64(*next))
	case reflect.Uint64:
		*next++
		v.SetUint(^*next)
	default:
		*next++
		v.SetUint(*next)
	}
}

func TestCodec(t *testing.T) {
	t.Parallel()
	var next uint64
	full := new(config)
	fill(reflect.ValueOf(full).Elem(), &next)
	for _, c := range []*config{full, {}, {Container: new(containerConfig)}} {
		data := c.encode()
		back, err := decodeConfig(data)
		if err != nil || !reflect.DeepEqual(c, back) {
			t.Errorf("%v\n%+v\n%+v", err, c, back)
		}
		for n := range data {
			if _, err := decodeConfig(data[:n]); err == nil {
				t.Fatalf("%d of %d bytes were enough", n, len(data))
			}
		}
		if _, err := decodeConfig(append(data, 0)); err == nil {
			t.Error("one more byte was no matter")
		}
	}
}
