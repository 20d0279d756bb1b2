package push_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/oci/push"
	"github.com/skiff-containers/skiff/store"
)

// fill sets all that can be set: lists and maps get members with numbers from n on.
func fill(v reflect.Value, n int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(int64(n), 5).UTC()))
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() || v.Type().Field(i).Anonymous {
				fill(v.Field(i), n+i)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n+1)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for i := range 3 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(key, n-i)
			fill(value, n+i)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		v.SetString("a<\n\"é\xff"[n%8:] + "x" + string(rune('a'+n%26)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(n%256 - 128))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(n % 256))
	}
}

// What a start writes is written as encoding/json does, and without it.
func TestWhatAStartWrites(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		&store.Record{}, &store.State{}, &store.Group{}, &store.ProcessID{}, &store.Attachment{},
		&conmon.Setup{}, &conmon.ExecRequest{}, &conmon.SignalRequest{}, &specs.Spec{},
	} {
		for _, filled := range []bool{false, true} {
			if filled {
				fill(reflect.ValueOf(v).Elem(), 40)
			}
			want, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := push.Write(v); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%T was written as\n%s, %v; want\n%s", v, got, err, want)
			}
		}
	}
}

type inner struct {
	Seen   int `json:"seen"`
	hidden int
}

type outer struct {
	inner
	Name    string            `json:",omitempty"`
	Left    *int              `json:"left,omitempty"`
	Not     string            `json:"-"`
	Any     any               `json:"any"`
	None    map[string]string `json:",omitempty"`
	When    time.Time
	Address netip.Addr
	Raw     json.RawMessage
	Pair    [2]bool
}

// What has no rule is left to encoding/json, and told from what has one.
func TestWhateverItIs(t *testing.T) {
	t.Parallel()
	seven := 7
	for _, c := range []struct {
		value any
		ruled bool
	}{
		{nil, true}, {true, true}, {-3, true}, {uint8(200), true}, {"", true}, {"\u2028<&>\x00\x7f", true}, {[]string(nil), true}, {[]int{}, true}, {(*int)(nil), true}, {&seven, true},
		{map[string]int(nil), true}, {map[string]any{"b": 1, "a": []any{nil, "x"}, "\xff": map[string]string{}}, true},
		{outer{inner: inner{1, 2}, Any: &inner{3, 4}, Raw: json.RawMessage(`{"a": 1}`), When: time.Unix(7, 0)}, true},
		{&outer{Left: &seven, Any: json.Marshaler(nil), Name: "n", Not: "x", None: map[string]string{}, Address: netip.MustParseAddr("::1")}, true},
		{1.5, false}, {[]byte("x"), false}, {map[int]string{2: "b", 1: "a"}, false}, {map[netip.Addr]int{netip.MustParseAddr("::1"): 1}, false}, {json.Number("1"), false},
		{struct {
			N int `json:",string"`
		}{1}, false},
		{struct {
			T time.Time `json:",omitzero"`
		}{}, false},
		{struct{ *inner }{&inner{1, 2}}, false}, {make(chan int), false}, {[]any{func() {}}, false},
	} {
		want, wantErr := json.Marshal(c.value)
		got, err := push.JSON(c.value)
		if !bytes.Equal(got, want) || (err == nil) != (wantErr == nil) {
			t.Errorf("%#v was written as %s, %v; want %s, %v", c.value, got, err, want, wantErr)
		}
		if got, err := push.Write(c.value); (err == nil) != c.ruled || c.ruled && !bytes.Equal(got, want) {
			t.Errorf("%#v was written as %s, %v; want %s", c.value, got, err, want)
		}
	}
}

// Each byte by itself, as what needs no escapes is told by its bytes.
func FuzzStrings(f *testing.F) {
	for b := range 256 {
		f.Add("a" + string([]byte{byte(b)}))
	}
	for _, s := range []string{"", "\u2028\u2029", "\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, _ := json.Marshal(map[string]string{s: s})
		if got, err := push.Write(map[string]string{s: s}); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q was written as %s, %v; want %s", s, got, err, want)
		}
	})
}
