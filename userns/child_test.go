package userns

import (
	"slices"
	"testing"
)

func TestWithinSplitsWhereRangesMeet(t *testing.T) {
	t.Parallel()
	own := []IDMap{{0, 1000, 1}, {1, 100000, 1000}, {1001, 300000, 10}}
	got, err := within([]IDMap{{0, 0, 5}, {5, 990, 20}}, own)
	want := []IDMap{{0, 0, 1}, {1, 1, 4}, {5, 990, 11}, {16, 1001, 9}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v %v, want %v", got, err, want)
	}
	if _, err := within([]IDMap{{0, 1005, 20}}, own); err == nil {
		t.Error("ids that are not there")
	}
}

func TestCheckMaps(t *testing.T) {
	t.Parallel()
	for _, maps := range [][]IDMap{
		{{0, 0, 0}}, {{0, 0, 10}, {9, 100, 1}}, {{0, 0, 10}, {20, 5, 10}}, {{0, 4294967290, 10}}, {{4294967290, 0, 10}},
	} {
		if CheckMaps(maps) == nil {
			t.Errorf("%v is taken", maps)
		}
	}
	if err := CheckMaps([]IDMap{{0, 1, 1000}, {1000, 0, 1}, {1001, 1001, 64535}}); err != nil {
		t.Error(err)
	}
}

func TestOutsideAndInside(t *testing.T) {
	t.Parallel()
	maps := []IDMap{{0, 1, 1000}, {1000, 0, 1}}
	for in, out := range map[uint32]uint32{0: 1, 999: 1000, 1000: 0} {
		if got, ok := Outside(maps, in); !ok || got != out {
			t.Errorf("%d is %d outside", in, got)
		}
		if got, ok := Inside(maps, out); !ok || got != in {
			t.Errorf("%d is %d inside", out, got)
		}
	}
	if _, ok := Outside(maps, 1001); ok {
		t.Error("1001 is mapped")
	}
}
