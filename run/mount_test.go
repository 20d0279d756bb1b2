package run

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/store"
)

func TestParseVolume(t *testing.T) {
	t.Parallel()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	bind := func(source, target string, change func(*store.Mount)) store.Mount {
		m := store.Mount{Type: "bind", Source: source, Target: target, Propagation: "rprivate", CreateSource: true}
		if change != nil {
			change(&m)
		}
		return m
	}
	readOnly := func(m *store.Mount) { m.ReadOnly = true }
	for spec, want := range map[string]store.Mount{
		"/a:/b":             bind("/a", "/b", nil),
		"/a:/b/":            bind("/a", "/b", nil),
		"/a:/b:rw":          bind("/a", "/b", nil),
		"/a:/b:ro":          bind("/a", "/b", readOnly),
		"/a/../c:/b:ro":     bind("/c", "/b", readOnly),
		".:/b":              bind(here, "/b", nil),
		"./x:/b":            bind(filepath.Join(here, "x"), "/b", nil),
		"../x:/b":           bind(filepath.Join(filepath.Dir(here), "x"), "/b", nil),
		"/a:/b:ro,rslave":   bind("/a", "/b", func(m *store.Mount) { m.ReadOnly, m.Propagation = true, "rslave" }),
		"/a:/b:cached":      bind("/a", "/b", nil),
		"/a:/b:z":           bind("/a", "/b", nil),
		"/a:/b:Z,ro":        bind("/a", "/b", readOnly),
		"/a:/b:private,rw":  bind("/a", "/b", func(m *store.Mount) { m.Propagation = "private" }),
		"/a:/b:consistent":  bind("/a", "/b", nil),
		"/with space:/b b":  bind("/with space", "/b b", nil),
		"/a:/deep/../b:rro": {}, // refused
	} {
		got, err := parseVolume(spec)
		if want.Type == "" {
			if err == nil {
				t.Errorf("parseVolume(%q) is taken", spec)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("parseVolume(%q) = %+v, %v; want %+v", spec, got, err, want)
		}
	}
}

func TestParseVolumeErrors(t *testing.T) {
	t.Parallel()
	for spec, words := range map[string]string{
		"":              "empty section",
		":":             "empty section",
		"/a:":           "empty section",
		":/b":           "empty section",
		"/a::ro":        "empty section",
		"relative":      "must be absolute",
		"/a":            "anonymous volume",
		"/a:/":          "can't be '/'",
		"/a:/..":        "can't be '/'",
		"/a:b":          "must be absolute",
		"/a:ro":         "destination expected",
		"/a:/b:ro,rw":   "contradicts",
		"/a:/b:ro,ro":   "contradicts",
		"/a:/b:z,Z":     "contradicts",
		"/a:/b:nonsene": "invalid option",
		"/a:/b:ro:x":    "too many colons",
		"name:/b":       "volumes are not supported yet",
		"sub/dir:/b":    "use an absolute one",
	} {
		if _, err := parseVolume(spec); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("parseVolume(%q) gives %v, want words %q", spec, err, words)
		}
	}
}

func TestParseMount(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for spec, want := range map[string]store.Mount{
		"type=bind,source=" + dir + ",target=/b":                         {Type: "bind", Source: dir, Target: "/b", Propagation: "rprivate"},
		"type=bind,src=" + dir + ",dst=/b,readonly":                      {Type: "bind", Source: dir, Target: "/b", Propagation: "rprivate", ReadOnly: true},
		"TYPE=bind,src=" + dir + ",destination=/b,ro=true":               {Type: "bind", Source: dir, Target: "/b", Propagation: "rprivate", ReadOnly: true},
		"type=bind,src=" + dir + ",dst=/b,ro=0,bind-propagation=rshared": {Type: "bind", Source: dir, Target: "/b", Propagation: "rshared"},
		"type=bind,src=" + dir + ",dst=/b,bind-recursive=disabled":       {Type: "bind", Source: dir, Target: "/b", Propagation: "rprivate", NonRecursive: true},
		"type=bind,src=" + dir + ",dst=/b,bind-nonrecursive":             {Type: "bind", Source: dir, Target: "/b", Propagation: "rprivate", NonRecursive: true},
		"type=tmpfs,dst=/t": {Type: "tmpfs", Target: "/t"},
		"type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=0700":                   {Type: "tmpfs", Target: "/t", TmpfsSize: 1 << 20, TmpfsMode: 0o700},
		"type=bind,\"src=" + dir + "\",dst=/b,consistency=cached":           {Type: "bind", Source: dir, Target: "/b", Propagation: "rprivate"},
		"type=bind,src=" + dir + "/.././" + filepath.Base(dir) + ",dst=/b/": {Type: "bind", Source: dir, Target: "/b", Propagation: "rprivate"},
	} {
		got, err := parseMount(spec)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("parseMount(%q) = %+v, %v; want %+v", spec, got, err, want)
		}
	}
	for spec, words := range map[string]string{
		"":                                             "it is empty",
		"type=bind":                                    "target is required",
		"type=bind,target=/b":                          "source is required",
		"type=bind,source=/a,target=b":                 "must be absolute",
		"type=bind,source=a,target=/b":                 "must be an absolute path",
		"type=bind,source=/no/such,target=/b":          "bind source path does not exist: /no/such",
		"type=tmpfs,source=/a,target=/b":               "no source",
		"source=x,target=/b":                           "volumes are not supported yet",
		"type=volume,source=x,target=/b":               "volumes are not supported yet",
		"type=npipe,source=x,target=/b":                "not supported",
		"type=bind,source=/,target=/b,nonsense":        "key=value",
		"type=bind,source=/,target=/b,x=y":             "unexpected key",
		"type=bind,source=/,target=/b,ro=maybe":        "invalid value",
		"type=bind,source=/,target=/b,tmpfs-size=1m":   "type=tmpfs only",
		"type=tmpfs,target=/b,bind-propagation=shared": "type=bind only",
		"type=tmpfs,target=/b,tmpfs-mode=9":            "invalid value",
		"type=tmpfs,target=/b,tmpfs-size=x":            "invalid value",
		"type=bind,source=/,target=/":                  "can't be '/'",
	} {
		if _, err := parseMount(spec); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("parseMount(%q) gives %v, want words %q", spec, err, words)
		}
	}
}

func TestTmpfs(t *testing.T) {
	t.Parallel()
	for asked, want := range map[string][]string{
		"":                          {"noexec", "nosuid", "nodev"},
		"exec":                      {"nosuid", "nodev", "exec"},
		"rw,size=64M,mode=755":      {"noexec", "nosuid", "nodev", "rw", "size=64m", "mode=755"},
		"size=10%,size=20%":         {"noexec", "nosuid", "nodev", "size=20%"},
		"nosuid,suid,uid=5,noatime": {"noexec", "nodev", "suid", "uid=5", "noatime"},
	} {
		if got, err := tmpfsOptions(asked); err != nil || !slices.Equal(got, want) {
			t.Errorf("tmpfsOptions(%q) = %q, %v; want %q", asked, got, err, want)
		}
	}
	for _, spec := range []string{"relative", "/", "/t:nonsense", "/t:size=x", "/t:bind", "/t:lowerdir=/x"} {
		if _, _, err := parseTmpfs(spec); err == nil {
			t.Errorf("--tmpfs %q is taken", spec)
		}
	}
}

// A path in the container is mounted on once.
func TestDuplicateMounts(t *testing.T) {
	t.Parallel()
	for _, o := range []CreateOptions{
		{Volumes: []string{"/a:/x", "/b:/x/"}},
		{Volumes: []string{"/a:/x"}, Tmpfs: []string{"/x"}},
		{Mounts: []string{"type=tmpfs,dst=/x"}, Tmpfs: []string{"/x:ro"}},
	} {
		var h store.HostConfig
		if err := joinMounts(nil, &h, &o); err == nil || !strings.Contains(err.Error(), "duplicate mount point: /x") {
			t.Errorf("%+v gives %v", o, err)
		}
	}
}
