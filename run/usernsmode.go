package run

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// UsernsOptions are the flags that say which ids a container has.
type UsernsOptions struct {
	Userns     string   // "", "host", "keep-id[:uid=N,gid=N,size=N]", "nomap", "auto[:size=N,uidmapping=…]" or "container:NAME"
	UIDMap     []string // INSIDE:OUTSIDE[:SIZE], outside as an id of skiff's user namespace
	GIDMap     []string
	SubUIDName string // refused
	SubGIDName string // refused
}

// The modes of user namespaces, podman's.
const (
	modeKeepID = "keep-id"
	modeNomap  = "nomap"
	modeAuto   = "auto"
)

// joinIDs reads which ids the container has. Every container has a user namespace of
// its own; mostly with the ids that U has, as only the shim knows them for certain.
func (p *plan) joinIDs(s *store.Store, o *CreateOptions, img *store.Image) (err error) {
	h := &p.record.HostConfig
	if o.SubUIDName != "" || o.SubGIDName != "" {
		return &userns.HostError{What: "subordinate ids of another name cannot be had: skiff's user namespace has those of the user who calls it",
			Hint: "leave --subuidname and --subgidname out; --uidmap and --gidmap choose among them"}
	}
	mode, options, _ := strings.Cut(o.Userns, ":")
	if len(o.UIDMap)+len(o.GIDMap) > 0 {
		if o.Userns != "" {
			return errors.New("conflicting options: --userns and --uidmap or --gidmap")
		}
		h.UsernsMode = modePrivate
		return p.takeMaps(s, o.UIDMap, o.GIDMap)
	}
	switch mode {
	case "", modeHost:
		if options != "" {
			break
		}
		h.UsernsMode = mode
		return p.sharePeer(s)
	case "container":
		if h.UsernsMode, err = namespaceMode(s, "userns", o.Userns); err != nil {
			return err
		}
		return p.sameAs(s, strings.TrimPrefix(h.UsernsMode, modeContainer))
	case modeKeepID:
		h.UsernsMode = o.Userns
		return p.keepID(options, o.User)
	case modeNomap:
		if options != "" {
			break
		}
		h.UsernsMode = mode
		return p.nomap()
	case modeAuto:
		h.UsernsMode = o.Userns
		return p.autoIDs(s, options, img)
	case "ns":
		return &userns.HostError{What: fmt.Sprintf("user namespace %q cannot be joined: its networks could not be connected with those of other containers", o.Userns),
			Hint: "name a container instead: --userns container:NAME"}
	}
	return &userns.HostError{What: fmt.Sprintf("invalid user namespace %q", o.Userns), Hint: `"host", "keep-id[:uid=N,gid=N,size=N]", "nomap", "auto[:size=N]" and "container:NAME" are possible`}
}

// sharePeer gives the user namespace of a container whose other namespaces are
// shared as well: what is allowed there belongs to it.
func (p *plan) sharePeer(s *store.Store) error {
	h := &p.record.HostConfig
	peers := peersOf(h)
	if len(peers) == 0 {
		return nil
	}
	other, err := recordOf(s, peers[0].id)
	if err == nil && other.HostConfig.IDMappings == nil {
		h.UsernsMode, h.UsernsImplied = modeContainer+other.ID, true
	}
	return err
}

// sameAs takes over the ids of a container whose user namespace is shared.
func (p *plan) sameAs(s *store.Store, id string) error {
	other, err := recordOf(s, id)
	if err == nil {
		p.record.HostConfig.IDMappings = other.HostConfig.IDMappings
	}
	return err
}

func recordOf(s *store.Store, id string) (*store.Record, error) {
	c, err := s.Find(id)
	if err != nil {
		return nil, err
	}
	return c.Record()
}

// setMapping notes the ids of the container's own. U's as they are need no note.
func (p *plan) setMapping(uids, gids []userns.IDMap) error {
	if err := errors.Join(userns.CheckMaps(uids), userns.CheckMaps(gids)); err != nil {
		return err
	}
	p.record.HostConfig.IDMappings = &store.IDMappings{UIDMap: store.FormatIDMaps(uids), GIDMap: store.FormatIDMaps(gids)}
	return nil
}

// available counts the ids of U: 0 is the user.
func available() (uids, gids uint32, m *userns.Mapping, err error) {
	if m, err = userns.Current(); err != nil {
		return 0, 0, nil, err
	}
	return extent(m.UIDs), extent(m.GIDs), m, nil
}

func extent(maps []userns.IDMap) uint32 {
	var end uint32
	for _, m := range maps {
		end = max(end, m.Inside+m.Size)
	}
	return end
}

// needsRange refuses what takes more than one id.
func needsRange(m *userns.Mapping, mode string) error {
	if !m.Single {
		return nil
	}
	hint := hintOf(m.Why)
	if hint == "" {
		hint = "give this user subordinate ids in /etc/subuid and /etc/subgid"
	}
	return &userns.HostError{What: fmt.Sprintf("--userns %s needs subordinate ids, and this user has a single id", mode), Hint: hint, Err: m.Why}
}

// nomap leaves the caller's own id out.
func (p *plan) nomap() error {
	if os.Geteuid() == 0 {
		return errors.New("nomap is only supported in rootless mode")
	}
	uids, gids, m, err := available()
	if err == nil {
		err = needsRange(m, modeNomap)
	}
	if err != nil {
		return err
	}
	return p.setMapping([]userns.IDMap{{Inside: 0, Outside: 1, Size: uids - 1}}, []userns.IDMap{{Inside: 0, Outside: 1, Size: gids - 1}})
}

// takeMaps is --uidmap and --gidmap: where one is missing it is as the other.
func (p *plan) takeMaps(s *store.Store, uidmap, gidmap []string) error {
	if len(uidmap) == 0 {
		uidmap = gidmap
	}
	if len(gidmap) == 0 {
		gidmap = uidmap
	}
	uids, err := parseMaps("uidmap", uidmap)
	if err != nil {
		return err
	}
	gids, err := parseMaps("gidmap", gidmap)
	if err != nil {
		return err
	}
	if err := within(uids, gids); err != nil {
		return err
	}
	return p.setMapping(uids, gids)
}

// within refuses ids that the user has not: files could not be given to them.
func within(uids, gids []userns.IDMap) error {
	haveUIDs, haveGIDs, _, err := available()
	if err != nil {
		return err
	}
	for _, side := range []struct {
		flag string
		maps []userns.IDMap
		have uint32
	}{{"uidmap", uids, haveUIDs}, {"gidmap", gids, haveGIDs}} {
		for _, m := range side.maps {
			if uint64(m.Outside)+uint64(m.Size) > uint64(side.have) {
				return &userns.HostError{
					What: fmt.Sprintf("--%s %d:%d:%d goes beyond the ids that there are: 0 to %d", side.flag, m.Inside, m.Outside, m.Size, side.have-1),
					Hint: "outside 0 is you, and 1 and up are your subordinate ids, which usermod --add-subuids and --add-subgids give out",
				}
			}
		}
	}
	return nil
}

func parseMaps(flag string, specs []string) ([]userns.IDMap, error) {
	var all []userns.IDMap
	for _, spec := range specs {
		for one := range strings.SplitSeq(spec, ",") {
			if strings.Count(one, ":") == 1 {
				one += ":1"
			}
			m, err := store.ParseIDMap(one)
			if err != nil {
				return nil, &userns.HostError{What: fmt.Sprintf("parsing --%s %q", flag, spec), Hint: "INSIDE:OUTSIDE:SIZE, where outside 0 is you and 1 and up are your subordinate ids", Err: err}
			}
			all = append(all, m)
		}
	}
	return all, nil
}

// specMaps are a record's maps as the runtime takes them.
func specMaps(m *store.IDMappings) (uids, gids []specs.LinuxIDMapping) {
	mapping, err := m.Mapping()
	if err != nil || mapping == nil {
		return nil, nil
	}
	return specMap(mapping.UIDs), specMap(mapping.GIDs)
}

func specMap(maps []userns.IDMap) []specs.LinuxIDMapping {
	all := make([]specs.LinuxIDMapping, len(maps))
	for i, m := range maps {
		all[i] = specs.LinuxIDMapping{ContainerID: m.Inside, HostID: m.Outside, Size: m.Size}
	}
	return all
}
