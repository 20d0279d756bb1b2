package archtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// initLimit bounds what initialising all packages of skiff may take, in
// milliseconds. Every command pays it, and every stage of a plain build.
const initLimit = 3.0

// GODEBUG=inittrace=1 writes for each package:
// "init internal/bytealg @0.008 ms, 0 ms clock, 0 bytes, 0 allocs".
var initLine = regexp.MustCompile(`(?m)^init (\S+) @\S+ ms, (\S+) ms clock`)

// TestStartIsCheap sums the time of all package initialisations of `skiff
// --version`. The least of several runs counts, as a busy machine only adds.
func TestStartIsCheap(t *testing.T) {
	program := os.Getenv("SKIFF_BIN")
	if program == "" {
		program = filepath.Join(t.TempDir(), "skiff")
		build := exec.Command("go", "build", "-o", program, module)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building skiff: %v\n%s", err, out)
		}
	}
	best, worst := -1.0, ""
	for range 10 {
		sum, slowest, err := initTime(program)
		if err != nil {
			t.Fatal(err)
		}
		if best < 0 || sum < best {
			best, worst = sum, slowest
		}
	}
	t.Logf("package initialisation takes %.2f ms, most of it %s", best, worst)
	if best > initLimit {
		t.Errorf("package initialisation takes %.2f ms, more than %.0f; most of it: %s", best, initLimit, worst)
	}
}

func initTime(program string) (sum float64, slowest string, err error) {
	cmd := exec.Command(program, "--version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var talk strings.Builder
	cmd.Stderr = &talk
	if err := cmd.Run(); err != nil {
		return 0, "", fmt.Errorf("running %s: %w: %s", program, err, &talk)
	}
	most := 0.0
	for _, m := range initLine.FindAllStringSubmatch(talk.String(), -1) {
		ms, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return 0, "", err
		}
		if sum += ms; ms > most {
			most, slowest = ms, fmt.Sprintf("%s (%.2f ms)", m[1], ms)
		}
	}
	return sum, slowest, nil
}
