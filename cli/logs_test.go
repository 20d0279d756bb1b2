package cli

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	local := func(text string) time.Time {
		at, err := time.ParseInLocation("2006-01-02 15:04:05", text, time.Local)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for in, want := range map[string]time.Time{
		"":                            {},
		"42m":                         now.Add(-42 * time.Minute),
		"1h30m":                       now.Add(-90 * time.Minute),
		"2013-01-02T13:23:37Z":        time.Date(2013, 1, 2, 13, 23, 37, 0, time.UTC),
		"2013-01-02T13:23:37.5+02:00": time.Date(2013, 1, 2, 11, 23, 37, 5e8, time.UTC),
		"2013-01-02T13:23Z":           time.Date(2013, 1, 2, 13, 23, 0, 0, time.UTC),
		"2013-01-02T13:23:37":         local("2013-01-02 13:23:37"),
		"2013-01-02":                  local("2013-01-02 00:00:00"),
		"1136073845":                  time.Unix(1136073845, 0),
		"1136073845.000000001":        time.Unix(1136073845, 1),
		"1136073845.5":                time.Unix(1136073845, 5e8),
	} {
		if got, err := parseTime(in, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v; want %v", in, got, err, want)
		}
	}
	for _, bad := range []string{"yesterday", "12:00", "2013-13-01", "5.-3", "x.5"} {
		if got, err := parseTime(bad, now); err == nil {
			t.Errorf("%q: got %v", bad, got)
		}
	}
}

func TestTail(t *testing.T) {
	for in, want := range map[string]int{"all": -1, "": -1, "0": 0, "10": 10, "-1": -1} {
		o := logsOptions{tail: in}
		if err := o.parse(time.Now()); err != nil || o.Tail != want {
			t.Errorf("%q: %d, %v", in, o.Tail, err)
		}
	}
	if err := (&logsOptions{tail: "some"}).parse(time.Now()); err == nil {
		t.Error("--tail some is no error")
	}
}
