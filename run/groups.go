package run

import (
	"errors"
	"maps"
	"slices"

	"github.com/skiff-containers/skiff/oci"
)

// keepGroups is --group-add keep-groups: the caller's supplementary groups stay, which
// open files that only they may read. They cannot be set beside others.
const keepGroups = "keep-groups"

// groups reads --group-add.
func (p *plan) groups(asked []string) error {
	h := &p.record.HostConfig
	h.GroupAdd = asked
	if !slices.Contains(asked, keepGroups) {
		return nil
	}
	if len(asked) > 1 {
		return errors.New("the '--group-add keep-groups' option is not allowed with any other --group-add options")
	}
	h.GroupAdd, h.GroupsKept = nil, true
	return nil
}

// annotations are those of the OCI config: the user's, and what skiff asks of a runtime.
func (p *plan) annotations() map[string]string {
	h := &p.record.HostConfig
	if !h.GroupsKept {
		return h.Annotations
	}
	all := maps.Clone(h.Annotations)
	if all == nil {
		all = map[string]string{}
	}
	key, value := oci.KeepGroups()
	all[key] = value
	return all
}
