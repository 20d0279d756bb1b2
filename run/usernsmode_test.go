package run

import (
	"slices"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

func TestKeepMap(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		id, n uint32
		want  string
	}{
		{1000, 65537, "0:1:1000 1000:0:1 1001:1001:64536"},
		{0, 65537, "0:0:1 1:1:65536"},
		{70000, 65537, "0:1:65536 70000:0:1"}, // beyond all subordinate ids
		{65536, 65537, "0:1:65536 65536:0:1"},
		{1000, 1, "1000:0:1"}, // a single id
		{1, 2, "0:1:1 1:0:1"},
	} {
		maps := keepMap(test.id, test.n)
		if got := strings.Join(store.FormatIDMaps(maps), " "); got != test.want {
			t.Errorf("%d of %d: %s, want %s", test.id, test.n, got, test.want)
		}
		if err := userns.CheckMaps(maps); err != nil {
			t.Errorf("%d of %d: %v", test.id, test.n, err)
		}
		if id, ok := userns.Outside(maps, test.id); !ok || id != 0 {
			t.Errorf("%d of %d is %d outside", test.id, test.n, id)
		}
	}
}

func TestAround(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ fixed, want []string }{
		{nil, []string{"0:500:100"}},
		{[]string{"0:0:1"}, []string{"0:0:1", "1:501:99"}},
		{[]string{"10:0:5", "50:7:1"}, []string{"10:0:5", "50:7:1", "0:500:10", "15:515:35", "51:551:49"}},
		{[]string{"99:0:1"}, []string{"99:0:1", "0:500:99"}},
		{[]string{"200:0:1"}, []string{"200:0:1", "0:500:100"}},
	} {
		var fixed []userns.IDMap
		for _, text := range test.fixed {
			m, err := store.ParseIDMap(text)
			if err != nil {
				t.Fatal(err)
			}
			fixed = append(fixed, m)
		}
		maps := around(fixed, 500, 100)
		if got := store.FormatIDMaps(maps); !slices.Equal(got, test.want) {
			t.Errorf("%v: %v, want %v", test.fixed, got, test.want)
		}
	}
}

func TestHighestIn(t *testing.T) {
	t.Parallel()
	passwd := "root:x:0:0:root:/root:/bin/sh\nwww:x:33:44:::\nnobody:x:65534:65534:::\nbroken\nodd:x:many:1:::\n"
	if got := highestIn(strings.NewReader(passwd)); got != 44 {
		t.Error(got)
	}
	if got := highestIn(strings.NewReader("root:x:0:\nusers:x:100:a,b\nnogroup:x:65534:\n")); got != 100 {
		t.Error(got)
	}
}
