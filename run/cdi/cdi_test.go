package cdi

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"nvidia.com/gpu=all", "nvidia.com/gpu=0:1", "a/b=c", "vendor-1.com/net_class=GPU-8c:d.e"} {
		if !IsName(name) {
			t.Errorf("%q is no name", name)
		}
	}
	for _, name := range []string{"", "/dev/null", "/dev/a=b", "nvidia.com=0", "nvidia.com/gpu", "nvidia.com/gpu=", "x/y/z=1", "-a/b=c", "a/b=c d", "a/b.c=d"} {
		if IsName(name) {
			t.Errorf("%q is a name", name)
		}
	}
}

// folder makes a folder of CDI files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const vendorYAML = `
cdiVersion: "0.6.0"
kind: vendor.com/thing
containerEdits:
  env: [ALL=1]
devices:
- name: one
  containerEdits:
    deviceNodes: [{path: /dev/thing1, hostPath: /dev/null}]
    hooks: [{hookName: createContainer, path: /bin/true, args: ["true", now]}]
- name: two
  containerEdits:
    mounts: [{hostPath: /etc, containerPath: /opt, options: [ro]}]
    additionalGids: [44]
`

// A file's own edits come once, however many of its devices are asked for.
func TestFind(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"v.yaml": vendorYAML, "README": "not a CDI file"})
	got, err := Find([]string{dir + "/missing", dir}, []string{"vendor.com/thing=two", "vendor.com/thing=one"})
	want := &Edits{
		Env:    []string{"ALL=1"},
		Nodes:  []Node{{Path: "/dev/thing1", HostPath: "/dev/null"}},
		Mounts: []Mount{{HostPath: "/etc", ContainerPath: "/opt", Options: []string{"ro"}}},
		Hooks:  []Hook{{Name: "createContainer", Path: "/bin/true", Args: []string{"true", "now"}}},
		GIDs:   []uint32{44},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestLaterFoldersCountMore(t *testing.T) {
	t.Parallel()
	file := func(env string) map[string]string {
		return map[string]string{"a.json": `{"cdiVersion":"1.0.0","kind":"a/b","devices":[{"name":"x","containerEdits":{"env":["` + env + `"]}}]}`}
	}
	got, err := Find([]string{folder(t, file("FROM=first")), folder(t, file("FROM=second"))}, []string{"a/b=x"})
	if err != nil || !reflect.DeepEqual(got.Env, []string{"FROM=second"}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	one := func(edits string) string {
		return `{"cdiVersion":"1.0.0","kind":"a/b","devices":[{"name":"x","containerEdits":{` + edits + `}}]}`
	}
	for text, want := range map[string]string{
		`{"cdiVersion":"9.0.0","kind":"a/b"}`:                         `version "9.0.0" of CDI is not known`,
		`{"cdiVersion":"1.0.0","kind":"a"}`:                           `is not VENDOR/CLASS`,
		`{"cdiVersion":"1.0.0","kind":"a/b","devices":[{"name":""}]}`: `device name "" is not valid`,
		one(`"sorcery":[]`):                                           `unknown field "sorcery"`,
		one(`"intelRdt":{"closID":"x"}`):                              `intelRdt`,
		one(`"netDevices":[{}]`):                                      `network devices`,
		one(`"hooks":[{"hookName":"poststop","path":"/x"}]`):          `hook "poststop"`,
		one(`"mounts":[{"hostPath":"/x"}]`):                           `a mount without a path`,
		one(`"deviceNodes":[{"hostPath":"/x"}]`):                      `a device node without a path`,
		`{"cdiVersion":"1.0.0","kind":"a/b","devices":[]}`:            `unresolvable CDI device "a/b=x"`,
	} {
		_, err := Find([]string{folder(t, map[string]string{"a.json": text})}, []string{"a/b=x"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, want %q", text, err, want)
		}
	}
	twice := one("")
	if _, err := Find([]string{folder(t, map[string]string{"a.json": twice, "b.json": twice})}, []string{"a/b=x"}); err == nil || !strings.Contains(err.Error(), "two files") {
		t.Errorf("a device of two files gives %v", err)
	}
}
