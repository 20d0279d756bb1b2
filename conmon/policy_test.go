package conmon

import (
	"testing"
	"time"

	"github.com/skiff-containers/skiff/store"
)

func TestPolicyDecides(t *testing.T) {
	for _, c := range []struct {
		name  string
		most  int
		codes []int
		want  []bool
	}{
		{"no", 0, []int{0, 1}, []bool{false, false}},
		{"", 0, []int{1}, []bool{false}},
		{"always", 0, []int{0, 1, 137}, []bool{true, true, true}},
		{"unless-stopped", 0, []int{0, 1}, []bool{true, true}},
		{"on-failure", 0, []int{1, 1, 1, 0}, []bool{true, true, true, false}},
		{"on-failure", 2, []int{1, 2, 3}, []bool{true, true, false}},
	} {
		p := policy{RestartPolicy: store.RestartPolicy{Name: c.name, MaximumRetryCount: c.most}}
		for i, code := range c.codes {
			if _, again := p.after(code, 0); again != c.want[i] {
				t.Errorf("%s:%d, end %d with code %d: again is %v", c.name, c.most, i+1, code, again)
			}
		}
	}
}

func TestPausesDoubleUpToAMinuteAndBeginAnew(t *testing.T) {
	p := policy{RestartPolicy: store.RestartPolicy{Name: "always"}}
	want := 100 * time.Millisecond
	for range 15 {
		if pause, _ := p.after(1, time.Second); pause != want {
			t.Fatalf("a pause of %v, want %v", pause, want)
		}
		want = min(2*want, time.Minute)
	}
	if pause, _ := p.after(1, 10*time.Second); pause != 100*time.Millisecond {
		t.Errorf("after a life of ten seconds a pause of %v", pause)
	}
}
