package userns

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestParseRange(t *testing.T) {
	for line, want := range map[string]Range{
		"anna:100000:65536":         {100000, 65536},
		" anna:100000:65536 ":       {100000, 65536},
		"1000:1:1":                  {1, 1},
		"anna:4294967294:1":         {4294967294, 1},
		"anna:4294967295:1":         {},
		"anna:4294967290:10":        {},
		"anna:100000:0":             {},
		"anna:-1:10":                {},
		"anna:100000":               {},
		"anna:100000:65536:x":       {},
		"anna:18446744073709551615": {},
		"#anna:100000:65536":        {},
		":100000:65536":             {},
		"":                          {},
	} {
		_, got, ok := parseRange(line)
		if got != want || ok != (want != Range{}) {
			t.Errorf("parseRange(%q) = %v, %v", line, got, ok)
		}
	}
}

func TestSubordinate(t *testing.T) {
	named := func(name string) func(int) string { return func(int) string { return name } }
	for _, test := range []struct {
		what, subuid, subgid, nsswitch, name string
		directory                            []Range
		uids, gids                           []Range
	}{
		{what: "by name", subuid: "anna:100000:65536\nbert:200000:65536\n", subgid: "anna:300000:65536\n", name: "anna",
			uids: []Range{{100000, 65536}}, gids: []Range{{300000, 65536}}},
		{what: "by number", subuid: "1000:100000:65536\n", subgid: "1000:100000:10\n", name: "anna",
			uids: []Range{{100000, 65536}}, gids: []Range{{100000, 10}}},
		{what: "by number, without a name", subuid: "1000:5:5", subgid: "1000:6:6", uids: []Range{{5, 5}}, gids: []Range{{6, 6}}},
		{what: "several ranges", subuid: "# mine\nanna:100000:10\n\n1000:50:5\nbad line\nanna:200000:20\n", subgid: "anna:1:1\n", name: "anna",
			uids: []Range{{100000, 10}, {50, 5}, {200000, 20}}, gids: []Range{{1, 1}}},
		{what: "a name that is the beginning of another", subuid: "annabel:1:1\n", subgid: "annabel:1:1\n", name: "anna"},
		{what: "no groups", subuid: "anna:1:1\n", name: "anna"},
		{what: "nobody's", subuid: ":1:1\n", subgid: ":1:1\n"},
		{what: "files by nsswitch", subuid: "anna:1:1\n", subgid: "anna:2:2\n", nsswitch: "passwd: files sss\nsubid: files\n", name: "anna",
			directory: []Range{{7, 7}}, uids: []Range{{1, 1}}, gids: []Range{{2, 2}}},
		{what: "a directory", subuid: "anna:1:1\n", subgid: "anna:2:2\n", nsswitch: "subid: sss\n", name: "anna",
			directory: []Range{{7, 7}}, uids: []Range{{7, 7}}, gids: []Range{{7, 7}}},
		{what: "a directory that has none", subuid: "anna:1:1\n", subgid: "anna:2:2\n", nsswitch: "subid:\tsss\n", name: "anna"},
	} {
		t.Run(test.what, func(t *testing.T) {
			dir := t.TempDir()
			s := sources{
				filepath.Join(dir, "subuid"), filepath.Join(dir, "subgid"), filepath.Join(dir, "nsswitch.conf"),
				named(test.name), func(string, bool) []Range { return test.directory },
			}
			for path, content := range map[string]string{s.subuid: test.subuid, s.subgid: test.subgid, s.nsswitch: test.nsswitch} {
				if content != "" {
					must(t, os.WriteFile(path, []byte(content), 0o600))
				}
			}
			uids, gids, err := s.subordinate(1000)
			if !slices.Equal(uids, test.uids) || !slices.Equal(gids, test.gids) {
				t.Errorf("got %v and %v (%v), want %v and %v", uids, gids, err, test.uids, test.gids)
			}
			if (err != nil) != (test.uids == nil) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// getsubids(1) and getent(1) are asked by name, so that a test can stand in for them.
func TestDirectoryPrograms(t *testing.T) {
	dir := t.TempDir()
	for name, script := range map[string]string{
		"getsubids": "case \"$1\" in -g) echo '0: anna 300000 65536';; *) echo '0: anna 100000 65536'; echo '1: anna 500000 10';; esac",
		"getent":    "test \"$2\" = 987654 && echo 'anna@example:x:987654:1::/home/anna:/bin/sh'",
	} {
		must(t, writeProgram(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n")))
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if got := getsubids("anna", false); !slices.Equal(got, []Range{{100000, 65536}, {500000, 10}}) {
		t.Errorf("user ids: %v", got)
	}
	if got := getsubids("anna", true); !slices.Equal(got, []Range{{300000, 65536}}) {
		t.Errorf("group ids: %v", got)
	}
	if got := loginName(987654); got != "anna@example" {
		t.Errorf("the name is %q", got)
	}
	if got := loginName(987655); got != "" {
		t.Errorf("the name of nobody is %q", got)
	}
	if got := loginName(0); got != "root" {
		t.Errorf("the name of 0 is %q", got)
	}
}

func TestStackOfRanges(t *testing.T) {
	got := stack(1000, []Range{{100000, 10}, {50, 5}})
	if want := []IDMap{{0, 1000, 1}, {1, 100000, 10}, {11, 50, 5}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for id, want := range map[uint32]bool{0: true, 1: true, 10: true, 15: true, 16: false} {
		if Has(got, id) != want {
			t.Errorf("Has(%d) is %v", id, !want)
		}
	}
}

// Root maps ids to themselves where it has no subordinate ones, and needs no helper.
func TestRootMapping(t *testing.T) {
	m, err := rootMapping()
	must(t, err)
	if !m.privileged || len(m.UIDs) == 0 || m.UIDs[0].Inside != 0 || m.UIDs[0].Outside != 0 {
		t.Errorf("root's mapping is %+v", m)
	}
	own, err := own()
	must(t, err)
	for _, id := range identity(own.UIDs) {
		if id.Inside != id.Outside {
			t.Errorf("%v is no identity", id)
		}
	}
}
