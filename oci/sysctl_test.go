package oci

import "testing"

func TestExistingGroups(t *testing.T) {
	t.Parallel()
	const all = "0 2147483647"
	for _, test := range []struct{ name, asked, gidMap, want string }{
		{"one of subordinate ids", all, "0 1003 1\n1 231072 65536\n", "0 65536"},
		{"the user is not 0", all, "         0          1       1003\n      1003          0          1\n      1004       1004      64533\n", "1003 65536"},
		{"the user is above all others", all, "0 1 65536\n1600000 0 1\n", "0 1600000"},
		{"a single id that is not 0", all, "1003 0 1\n", "1003 1003"},
		{"less than there is", "5 10", "0 1003 1\n1 231072 65536\n", "5 10"},
		{"nothing that there is", "5 10", "1003 0 1\n", "5 10"},
		{"no range", "all", "0 1003 1\n", "all"},
	} {
		if got := ExistingGroups(test.asked, test.gidMap); got != test.want {
			t.Errorf("%s: %q is cut to %q, want %q", test.name, test.asked, got, test.want)
		}
	}
}
