package oci

import (
	"encoding/binary"
	"errors"
)

// codec writes a config to bytes, or reads it back: the same list of fields does
// both. It exists for its speed. encoding/json spends a fifth of a millisecond in
// the stage on learning the types, which is a tenth of a container's start.
type codec struct {
	data    []byte
	writing bool
	err     error
}

var errShort = errors.New("reading the stage's config: it is cut short")

// encode returns the config as bytes.
func (c *config) encode() []byte {
	k := codec{data: make([]byte, 0, 4096), writing: true}
	c.code(&k)
	return k.data
}

// decodeConfig is its reverse. Both ends are the same program, so there is no version.
func decodeConfig(data []byte) (*config, error) {
	k := codec{data: data}
	c := new(config)
	c.code(&k)
	if k.err == nil && len(k.data) > 0 {
		k.err = errors.New("reading the stage's config: something is left over")
	}
	return c, k.err
}

func (c *config) code(k *codec) {
	c.Process.code(k)
	inside := c.Container != nil
	k.bool(&inside)
	if inside {
		if c.Container == nil {
			c.Container = new(containerConfig)
		}
		c.Container.code(k)
	}
}

func (p *processConfig) code(k *codec) {
	k.strings(&p.Args)
	k.strings(&p.Env)
	k.string(&p.Cwd)
	number(k, &p.UID)
	number(k, &p.GID)
	list(k, &p.Groups, number)
	k.bool(&p.SetGroups)
	number(k, &p.Umask)
	k.bool(&p.Terminal)
	number(k, &p.Size[0])
	number(k, &p.Size[1])
	for _, set := range []*capabilitySet{&p.Capabilities.Bounding, &p.Capabilities.Effective, &p.Capabilities.Permitted, &p.Capabilities.Inheritable, &p.Capabilities.Ambient} {
		number(k, set)
	}
	list(k, &p.Rlimits, func(k *codec, l *rlimitConfig) {
		k.string(&l.Name)
		number(k, &l.Number)
		number(k, &l.Soft)
		number(k, &l.Hard)
	})
	k.bool(&p.NoNewPrivileges)
	number(k, &p.FilterFlags)
	k.bool(&p.Notify)
	k.bool(&p.Hold)
	k.bool(&p.Outlives)
	number(k, &p.Preserved)
	codeHooks(k, &p.Hooks)
	rare := p.Rare != nil
	k.bool(&rare)
	if rare {
		if p.Rare == nil {
			p.Rare = new(rareConfig)
		}
		p.Rare.code(k)
	}
}

func codeHooks(k *codec, all *[]hookConfig) {
	list(k, all, func(k *codec, h *hookConfig) {
		k.string(&h.Path)
		k.strings(&h.Args)
		k.strings(&h.Env)
		number(k, &h.Timeout)
		state := string(h.State)
		k.string(&state)
		h.State = []byte(state)
	})
}

func (c *containerConfig) code(k *codec) {
	k.string(&c.Rootfs)
	k.bool(&c.Readonly)
	number(k, &c.Propagation)
	k.bool(&c.PropagateBeneath)
	k.string(&c.Hostname)
	k.string(&c.Domainname)
	number(k, &c.Created)
	k.strings(&c.Joined)
	list(k, &c.Mounts, func(k *codec, m *mountConfig) { m.code(k) })
	list(k, &c.Devices, func(k *codec, d *deviceConfig) {
		k.string(&d.Path)
		k.string(&d.Source)
		number(k, &d.Mode)
		number(k, &d.Number)
		number(k, &d.UID)
		number(k, &d.GID)
	})
	k.strings(&c.Masked)
	k.strings(&c.ReadonlyPath)
	list(k, &c.Sysctls, func(k *codec, s *sysctlConfig) {
		k.string(&s.Name)
		k.string(&s.File)
		k.string(&s.Value)
	})
	k.bool(&c.Init)
	k.bool(&c.NoPivot)
	k.bool(&c.AllCgroups)
	k.bool(&c.Announce)
	codeHooks(k, &c.Hooks)
	k.string(&c.TimeOffsets)
	list(k, &c.Trees, number)
}

func (m *mountConfig) code(k *codec) {
	k.string(&m.Destination)
	k.string(&m.Type)
	k.string(&m.Source)
	k.bool(&m.Bind)
	k.bool(&m.Recursive)
	for _, a := range []*attributes{&m.Attributes, &m.Beneath} {
		number(k, &a.Set)
		number(k, &a.Clear)
	}
	number(k, &m.Propagation)
	k.bool(&m.PropagateBeneath)
	k.strings(&m.Data)
	k.bool(&m.CopyUp)
	number(k, &m.IDMap)
}

// number codes any integer that fits 64 bits without a sign.
func number[T ~int | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr](k *codec, n *T) {
	if k.writing {
		k.data = binary.AppendUvarint(k.data, uint64(*n))
		return
	}
	value, size := binary.Uvarint(k.data)
	if size <= 0 {
		k.short()
		return
	}
	*n, k.data = T(value), k.data[size:]
}

func (k *codec) bool(b *bool) {
	n := 0
	if *b {
		n = 1
	}
	number(k, &n)
	*b = n == 1
}

func (k *codec) string(s *string) {
	n := len(*s)
	number(k, &n)
	switch {
	case k.writing:
		k.data = append(k.data, *s...)
	case n < 0 || n > len(k.data):
		k.short()
	default:
		*s, k.data = string(k.data[:n]), k.data[n:]
	}
}

func (k *codec) strings(all *[]string) { list(k, all, (*codec).string) }

// list codes a slice. One without elements comes back as nil.
func list[T any](k *codec, all *[]T, one func(*codec, *T)) {
	n := len(*all)
	number(k, &n)
	if !k.writing {
		if n < 0 || n > len(k.data) { // an element takes a byte at least
			k.short()
			return
		}
		if n > 0 {
			*all = make([]T, n)
		}
	}
	for i := range *all {
		one(k, &(*all)[i])
	}
}

// short ends the reading: what follows reads zeros.
func (k *codec) short() {
	k.err = errShort
	k.data = nil
}
