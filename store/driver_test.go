package store

import (
	"os"
	"testing"
	"time"
)

func TestDriverIsProbedOncePerBoot(t *testing.T) {
	s := newStore(t)
	info, err := s.DriverInfo()
	must(t, err)
	t.Logf("%+v", info)
	if info.Driver != Overlay && info.Overlay == "" {
		t.Errorf("%s was chosen, and nothing says why not overlay", info.Driver)
	}
	before, err := os.Stat(s.path("driver"))
	must(t, err)
	again, err := s.Driver()
	must(t, err)
	after, err := os.Stat(s.path("driver"))
	must(t, err)
	if again != info.Driver || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the second time gave %s, and probed again", again)
	}
	info.Boot, info.Driver = "an earlier boot", "none"
	must(t, WriteJSON(s.path("driver"), info, Fleeting))
	if again, err = s.Driver(); err != nil || again == "none" {
		t.Errorf("after a boot the driver is %q (%v)", again, err)
	}
	checkStore(t, s)
}

// A driver that is not the best is not for ever.
func TestSecondBestDriverIsProbedAgain(t *testing.T) {
	s := newStore(t)
	best, err := s.DriverInfo()
	must(t, err)
	second := *best
	second.Driver = Copy
	must(t, WriteJSON(s.path("driver"), second, Fleeting))
	if now, err := s.Driver(); err != nil || now != Copy {
		t.Errorf("the driver is %q (%v), want the one remembered", now, err)
	}
	old := time.Now().Add(-2 * secondBest)
	must(t, os.Chtimes(s.path("driver"), old, old))
	if now, err := s.Driver(); err != nil || now != best.Driver {
		t.Errorf("the driver is %q (%v), want %s again", now, err, best.Driver)
	}
}

func TestDriverByEnvironment(t *testing.T) {
	s := newStore(t)
	t.Setenv(DriverVariable, Copy)
	if driver, err := s.Driver(); err != nil || driver != Copy {
		t.Errorf("the driver is %q (%v)", driver, err)
	}
	t.Setenv(DriverVariable, "btrfs")
	if _, err := s.Driver(); err == nil {
		t.Error("an unknown driver is accepted")
	}
}
