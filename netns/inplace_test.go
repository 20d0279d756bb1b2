package netns

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A change of networks changes what skiff wrote; what the container wrote stays.
func TestMergeKeepsTheContainersLines(t *testing.T) {
	t.Parallel()
	was := "127.0.0.1 localhost\n10.0.0.2 box\n10.0.1.2 box\nend\n"
	is := "127.0.0.1 localhost\n10.0.1.2 box\n10.0.2.2 box\nend\n"
	for _, c := range []struct{ name, current, want string }{
		{"untouched", was, "127.0.0.1 localhost\n10.0.2.2 box\n10.0.1.2 box\nend\n"},
		{"a line more", was + "mine", "127.0.0.1 localhost\n10.0.2.2 box\n10.0.1.2 box\nend\nmine\n"},
		{"a line fewer", "10.0.0.2 box\n10.0.1.2 box\n", "10.0.2.2 box\n10.0.1.2 box\n"},
		{"the old line gone", "mine\n", "mine\n10.0.2.2 box\n"},
		{"the new line there", "10.0.2.2 box\n10.0.0.2 box\n", "10.0.2.2 box\n"},
		{"emptied", "", "10.0.2.2 box\n"},
	} {
		if got := string(merge([]byte(c.current), []byte(was), []byte(is))); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestUpdateKeepsTheInode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hosts")
	long := "keep\n" + strings.Repeat("0123456789\n", 1000)
	if err := os.WriteFile(path, []byte(long+"mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(err error, want string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(path); string(got) != want {
			t.Fatalf("the file reads %q, want %q", got, want)
		}
		if after, _ := os.Stat(path); !os.SameFile(before, after) {
			t.Fatal("it is another file")
		}
	}
	check(Update(path, []byte(long), []byte("keep\nnew\n")), "keep\nnew\nmine\n")
	check(RewriteInPlace(path, []byte(long)), long)
	check(RewriteInPlace(path, nil), "")
}

// A container may have put anything into a file that is mounted into it.
func TestUpdateRefusesWhatItShould(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	huge := filepath.Join(dir, "huge")
	if err := os.WriteFile(huge, make([]byte, maxFile+1), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(huge, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{huge, link, filepath.Join(dir, "missing")} {
		if err := Update(path, nil, []byte("x\n")); err == nil {
			t.Errorf("updating %s went well", filepath.Base(path))
		}
	}
}
