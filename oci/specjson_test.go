package oci

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// fillField sets every field that can be set to something that JSON brings back.
func fillField(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		if depth > 12 {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fillField(v.Elem(), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			if tag := v.Type().Field(i).Tag.Get("json"); tag != "-" {
				fillField(v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillField(v.Index(0), depth+1)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fillField(key, depth+1)
		fillField(value, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(3)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(3)
	}
}

// Each field of a config, alone and with all of skiff's common ones, must come
// through as encoding/json brings it: a new field of the specification that the
// narrow type does not know shows here.
func TestSpecComesThroughWholeWhateverItHolds(t *testing.T) {
	t.Parallel()
	for _, part := range []struct {
		name string
		of   func(*specs.Spec) reflect.Value
	}{
		{"spec", func(s *specs.Spec) reflect.Value { return reflect.ValueOf(s).Elem() }},
		{"process", func(s *specs.Spec) reflect.Value {
			s.Process = &specs.Process{}
			return reflect.ValueOf(s.Process).Elem()
		}},
		{"linux", func(s *specs.Spec) reflect.Value { s.Linux = &specs.Linux{}; return reflect.ValueOf(s.Linux).Elem() }},
	} {
		fields := part.of(&specs.Spec{}).NumField()
		for i := range fields {
			s := &specs.Spec{Version: "1.3.0"}
			v := part.of(s)
			fillField(v.Field(i), 0)
			name := part.name + "." + v.Type().Field(i).Name
			data, err := EncodeSpec(s)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			plain, _ := json.Marshal(s)
			var want specs.Spec
			json.Unmarshal(plain, &want)
			got, err := DecodeSpec(data)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !reflect.DeepEqual(got, &want) {
				t.Errorf("%s: %s came back as %+v", name, plain, got)
			}
			if again, err := DecodeSpec(plain); err != nil || !reflect.DeepEqual(again, &want) {
				t.Errorf("%s: %s, written by encoding/json, came back as %+v, %v", name, plain, again, err)
			}
		}
	}
}

// What the quick reader takes, it takes as encoding/json does.
func FuzzQuickSpec(f *testing.F) {
	s := &specs.Spec{}
	fillField(reflect.ValueOf(s).Elem(), 0)
	s.Hooks, s.Solaris, s.Windows, s.VM, s.ZOS, s.FreeBSD = nil, nil, nil, nil, nil, nil
	seed, _ := json.Marshal(s)
	f.Add(seed)
	common, _ := EncodeSpec(dockerSpec("true"))
	f.Add(common)
	for _, odd := range []string{
		`{"hostname":"a\u00e9\n","mounts":[],"annotations":{"a":"\"b\\"}}`, `{"hostname":"a","hostname":"b"}`, `{"Hostname":"a"}`, `{"process":null}`,
		`{"process":{"user":{"uid":01}}}`, `{"process":{"user":{"uid":1e2,"umask":4294967296}}}`, `{"process":{"oomScoreAdj":-0}}`, ` { } `, `{}x`, "{\"hostname\":\"\xff\t\"}", `[`, ``, "\x00", `{"mounts":[{},]}`,
	} {
		f.Add([]byte(odd))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := quickSpec(data)
		if got == nil {
			return
		}
		want := new(specs.Spec)
		if err := json.Unmarshal(data, want); err != nil {
			t.Fatalf("%q was taken, and is %v", data, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q was read as %+v, want %+v", data, got, want)
		}
	})
}

// Skiff's own configs are read the quick way.
func TestQuickSpecTakesCommonConfigs(t *testing.T) {
	t.Parallel()
	data, err := EncodeSpec(dockerSpec("true"))
	if err != nil {
		t.Fatal(err)
	}
	if quickSpec(data) == nil {
		t.Errorf("%s is not taken", data)
	}
}
