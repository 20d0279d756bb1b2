package conmon

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/wire"
)

// Each field, alone and with the others, is read as encoding/json reads it.
func TestSetupComesThroughWhole(t *testing.T) {
	t.Parallel()
	whole := Setup{Container: "c", Name: "n\n", Dir: "/d", Root: "/r", User: "1:2", GroupAdd: []string{"g"}, OpenStdin: true, StdinOnce: true, AutoRemove: true, Init: true,
		Stack:    store.Stack{Driver: "overlay", Store: "/s", Layers: []string{"a", "b"}, Map: "m", Dir: "/d", Base: "/b", Volatile: true},
		Identity: &Identity{Name: "me", UID: 7}, Log: store.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "10"}},
		Restart: store.RestartPolicy{Name: "on-failure", MaximumRetryCount: 3}, Runtime: "/crun", StopSignal: 15, StopTimeout: -1, Health: &Health{Args: []string{"x"}, Retries: 2},
		Timeout: time.Second, Joined: map[specs.LinuxNamespaceType]string{"ipc": "c2"}, Attributes: map[string]string{"k": "v\"é"}, Seccomp: true, SeccompFlags: 2,
		Attach: Attach{true, true, true, Size{24, 80}}, Grouped: true, Network: true, Direct: [3]bool{true, false, true}, Preserve: 2, PidFile: "/p"}
	all := []Setup{{}, whole}
	for i := range reflect.TypeFor[Setup]().NumField() {
		var one Setup
		field := reflect.ValueOf(whole).Field(i)
		if field.IsZero() {
			t.Errorf("field %s is not tried", reflect.TypeFor[Setup]().Field(i).Name)
		}
		reflect.ValueOf(&one).Elem().Field(i).Set(field)
		all = append(all, one)
	}
	for _, setup := range all {
		body, err := json.Marshal(setup)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := wire.Decode[Setup](body)
		if got, err := decodeSetup(body); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s was read as %+v, %v", body, got, err)
		}
	}
	if _, err := decodeSetup([]byte(`{"Container":3}`)); err == nil {
		t.Error("a number was taken for an id")
	}
}
