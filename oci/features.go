package oci

import (
	"maps"
	"slices"
	"strings"
)

// MountOptions are the words that are understood in a mount's options, sorted; others
// go to the file system.
func MountOptions() []string {
	all := slices.Concat(strings.Fields(ignoredOptions), []string{"bind", "rbind", "idmap", "ridmap", "tmpcopyup"})
	for word := range attributeOptions {
		all = append(all, word, "r"+word)
	}
	for word := range propagationOptions {
		all = append(all, word, "r"+word)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// NamespaceTypes are the types of namespaces that a container may have, sorted.
func NamespaceTypes() []string {
	var all []string
	for kind := range maps.Keys(cloneFlags) {
		all = append(all, string(kind))
	}
	slices.Sort(all)
	return all
}

// MemoryPolicies are the modes and flags of linux.memoryPolicy.
func MemoryPolicies() (modes, flags []string) {
	for _, m := range memoryModes {
		modes = append(modes, m.name)
	}
	for _, f := range memoryFlags {
		flags = append(flags, f.name)
	}
	return modes, flags
}
