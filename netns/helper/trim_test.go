package helper

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// What trim lets go of is less memory, and comes back when it is needed.
func TestTrim(t *testing.T) {
	before := ofFiles(t)
	if err := trim(); err != nil {
		t.Fatal(err)
	}
	if after := ofFiles(t); after >= before {
		t.Errorf("%d KB of files are resident, %d KB were before", after, before)
	}
}

// ofFiles is how much of files is resident in this process, in KB.
func ofFiles(t *testing.T) (size int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"RssFile:", "RssShmem:"} { // the program may lie on a tmpfs
		_, line, _ := strings.Cut(string(status), kind)
		var resident int
		if _, err := fmt.Sscan(line, &resident); err != nil {
			t.Fatal(err)
		}
		size += resident
	}
	return size
}
