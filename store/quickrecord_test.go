package store

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// usual is a record with what most have.
func usual() *Record {
	r := &Record{ID: "0123", Name: "a", Created: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Driver: "overlay", Path: "sh", Args: []string{"-c", "true"}}
	r.Image = ImageRef{Reference: "busybox", ID: "sha256:1", Manifest: "sha256:2", Platform: "linux/amd64", Layers: []string{"sha256:3"}}
	r.Config = Config{Hostname: "h", Env: []string{"PATH=/bin", "TEXT=\"ä\"\n"}, Cmd: []string{"true"}, Labels: map[string]string{"a": "b"},
		ExposedPorts: map[string]struct{}{"80/tcp": {}}}
	r.HostConfig = HostConfig{NetworkMode: "bridge", ShmSize: 64 << 20, LogConfig: LogConfig{Type: "json-file", Config: map[string]string{}},
		PortBindings: map[string][]PortBinding{"80/tcp": {{HostPort: "8080"}}}, Mounts: []Mount{{Type: "bind", Source: "/a", Target: "/b", ReadOnly: true}},
		RestartPolicy: RestartPolicy{Name: "no"}, CapAdd: []string{}, Resources: Resources{Memory: 1 << 30}}
	r.Networks = []EndpointConfig{{Network: "bridge", Aliases: []string{"web"}}}
	return r
}

// filled is a value of a type in which nothing is zero.
func filled(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.String:
		v.SetString("wörd \"é\" \\ \n")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.Append(v, filled(t.Elem())))
	case reflect.Map:
		v.Set(reflect.MakeMap(t))
		v.SetMapIndex(filled(t.Key()), filled(t.Elem()))
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		v.Elem().Set(filled(t.Elem()))
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return reflect.ValueOf(time.Date(2026, 11, 12, 13, 14, 15, 160, time.FixedZone("", 3600)))
		}
		for i := range t.NumField() {
			v.Field(i).Set(filled(t.Field(i).Type))
		}
	default:
		if v.CanInt() {
			v.SetInt(-100)
		} else {
			v.SetUint(100)
		}
	}
	return v
}

// fields calls visit while each field of v, and of the structures in it, is another
// than it was: filled, empty and zero in turn.
func fields(v reflect.Value, path string, visit func(path string)) {
	for i := range v.NumField() {
		field, name := v.Field(i), path+"."+v.Type().Field(i).Name
		if field.Kind() == reflect.Struct && field.Type() != reflect.TypeFor[time.Time]() {
			fields(field, name, visit)
		}
		was := reflect.New(field.Type()).Elem()
		was.Set(field)
		field.Set(filled(field.Type()))
		visit(name + " filled")
		field.SetZero()
		visit(name + " zero")
		switch field.Kind() {
		case reflect.Slice:
			field.Set(reflect.MakeSlice(field.Type(), 0, 0))
			visit(name + " empty")
		case reflect.Map:
			field.Set(reflect.MakeMap(field.Type()))
			visit(name + " empty")
		}
		field.Set(was)
	}
}

// agrees wants from quick what encoding/json makes of a value, or nothing.
func agrees[T any](t *testing.T, what string, v *T, quick func([]byte) *T) {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	want := new(T)
	if err := json.Unmarshal(data, want); err != nil {
		t.Fatal(err)
	}
	if got := quick(data); got != nil && !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func TestQuickReadingAgreesWithJSON(t *testing.T) {
	r := usual()
	fields(reflect.ValueOf(r).Elem(), "record", func(path string) { agrees(t, path, r, quickRecord) })
	s := &State{Status: Running, Shim: ProcessID{1, 2, "b"}, StartedAt: time.Now()}
	fields(reflect.ValueOf(s).Elem(), "state", func(path string) { agrees(t, path, s, quickState) })
}

// What is usual must be read quickly, or nothing is gained.
func TestUsualRecordsAreReadQuickly(t *testing.T) {
	for what, r := range map[string]*Record{"usual": usual(), "nothing set": {}} {
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if quickRecord(data) == nil {
			t.Errorf("%s: encoding/json would have to read it", what)
		}
	}
	for what, s := range map[string]*State{"running": {Status: Running, Shim: ProcessID{1, 2, "b"}, Init: ProcessID{3, 4, "b"}, StartedAt: time.Now(), Cgroup: &Group{Path: "/sys/fs/cgroup/a", Unit: "a.scope"}},
		"nothing set": {}} {
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if quickState(data) == nil {
			t.Errorf("%s: encoding/json would have to read it", what)
		}
	}
}

func TestWhatIsBrokenIsNotReadQuickly(t *testing.T) {
	data, err := json.Marshal(usual())
	if err != nil {
		t.Fatal(err)
	}
	for n := range data {
		if quickRecord(data[:n]) != nil {
			t.Fatalf("a record of which %d of %d bytes are left was read", n, len(data))
		}
	}
	for _, text := range []string{`{"ID":"a","ID":"b"}`, `{"ID":null}`, `{"Config":{"Volumes":{"/v":{"a":1}}}}`, `{"HostConfig":{"BlkioWeight":65536}}`,
		`{"Created":"yesterday"}`, `{"HostConfig":{"Memory":1.5}}`, `{"Strange":1}`} {
		if quickRecord([]byte(text)) != nil {
			t.Errorf("%s was read", text)
		}
	}
}
