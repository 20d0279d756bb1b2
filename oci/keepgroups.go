package oci

import "github.com/opencontainers/runtime-spec/specs-go"

// keepGroupsAnnotation asks, with the value 1, that the supplementary groups of the
// caller stay: crun's name for it, which podman's --group-add keep-groups uses. Groups
// that the user namespace does not map cannot be set, only kept.
const keepGroupsAnnotation = "run.oci.keep_original_groups"

// KeepGroups is the annotation of a config for containers that keep the caller's groups.
func KeepGroups() (key, value string) { return keepGroupsAnnotation, "1" }

// KeepsGroups tells whether a config asks for that.
func KeepsGroups(s *specs.Spec) bool { return s.Annotations[keepGroupsAnnotation] == "1" }
