package oci

import (
	"bytes"
	"os"
)

// Unconfined is the name by which no AppArmor profile is asked for.
const Unconfined = "unconfined"

// AppArmor tells whether the kernel of this host enforces AppArmor's profiles
// (Documentation/admin-guide/LSM/apparmor.rst).
func AppArmor() bool {
	on, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	return err == nil && bytes.HasPrefix(on, []byte("Y"))
}

// AppArmorConfined tells whether this process is held by a profile. Only then has it to
// ask for [Unconfined], and the kernel to permit it. A profile may be there in name
// only, to tell programs apart (apparmor.d(5), flags=(unconfined)).
func AppArmorConfined() bool {
	label, err := os.ReadFile("/proc/self/attr/apparmor/current")
	if err != nil {
		return false
	}
	label = bytes.TrimRight(label, "\n\x00")
	return !bytes.Equal(label, []byte(Unconfined)) && !bytes.HasSuffix(label, []byte("("+Unconfined+")"))
}
