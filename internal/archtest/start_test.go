package archtest

import (
	"cmp"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/internal/fixture"
)

// What initialising all packages of skiff may allocate: every command pays
// it, and every stage of a plain build. Allocations tell of the work (tables
// that are built, expressions that are compiled) and are the same on every
// machine; what it takes in time is the benchmark's (`skiff --version`).
const (
	initAllocs = 2500
	initBytes  = 400_000
)

// initCost is what one package's initialisation allocated.
type initCost struct {
	name          string
	bytes, allocs int
}

// GODEBUG=inittrace=1 writes for each package:
// "init internal/bytealg @0.008 ms, 0 ms clock, 0 bytes, 0 allocs".
var initLine = regexp.MustCompile(`(?m)^init (\S+) @\S+ ms, \S+ ms clock, (\d+) bytes, (\d+) allocs$`)

// TestStartIsCheap sums what all package initialisations of `skiff --version`
// allocate, and names those that allocate most.
func TestStartIsCheap(t *testing.T) {
	program, err := fixture.Program(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	costs := initCosts(t, program)
	sum := initCost{name: "all"}
	for _, c := range costs {
		sum.bytes += c.bytes
		sum.allocs += c.allocs
	}
	slices.SortFunc(costs, func(a, b initCost) int { return cmp.Compare(b.allocs, a.allocs) })
	t.Logf("package initialisation: %d allocations, %d bytes", sum.allocs, sum.bytes)
	if sum.allocs > initAllocs || sum.bytes > initBytes {
		t.Errorf("package initialisation takes %d allocations of %d bytes, more than %d of %d; most of them: %v",
			sum.allocs, sum.bytes, initAllocs, initBytes, costs[:min(5, len(costs))])
	}
}

func initCosts(t *testing.T, program string) []initCost {
	cmd := exec.Command(program, "--version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var talk strings.Builder
	cmd.Stderr = &talk
	if err := cmd.Run(); err != nil {
		t.Fatalf("running %s: %v: %s", program, err, &talk)
	}
	var costs []initCost
	for _, m := range initLine.FindAllStringSubmatch(talk.String(), -1) {
		bytes, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		allocs, err := strconv.Atoi(m[3])
		if err != nil {
			t.Fatal(err)
		}
		costs = append(costs, initCost{m[1], bytes, allocs})
	}
	if len(costs) < 20 {
		t.Fatalf("%s wrote the cost of %d packages only: %s", program, len(costs), &talk)
	}
	return costs
}
