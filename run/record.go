package run

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/run/cdi"
	"github.com/skiff-containers/skiff/store"
)

// plan is all that is known of a container before anything of it exists.
type plan struct {
	record   *store.Record
	network  *netns.Request
	peer     *store.Container // whose network it shares; nil mostly
	security security
	dir      string   // where its folder will be
	tmpfs    []string // places that other flags than --tmpfs make one at
	secret   []secret
	edits    *cdi.Edits // what CDI devices need
	zone     []byte     // its /etc/localtime, where one was asked for
	bare     []string   // files of skiff's that are not laid over the image's

	reserved *store.Reservation // of ids; nil mostly
}

// newPlan joins what the user asked for with what the image says. Nothing is
// made yet; what cannot be had is refused here.
func newPlan(s *store.Store, o *CreateOptions, img *store.Image, detached bool) (*plan, error) {
	r := &store.Record{
		ID:      store.NewID(),
		Name:    o.Name,
		Created: time.Now().UTC(),
		Image:   store.ImageRef{Reference: o.Image, ID: img.ID, Manifest: img.Manifest, Platform: img.Platform, Layers: img.Layers},
	}
	if o.Name != "" {
		if err := checkName(o.Name); err != nil {
			return nil, err
		}
	}
	p := &plan{record: r}
	if err := p.joinNetworks(s, o); err != nil {
		return nil, err
	}
	if err := p.config(o, &img.Config, detached); err != nil {
		return nil, err
	}
	if err := p.hostConfig(s, o); err != nil {
		return nil, err
	}
	if err := p.extras(s, o, &img.Config); err != nil {
		return nil, err
	}
	if err := p.joinPorts(o, img.Config.ExposedPorts); err != nil {
		return nil, err
	}
	if err := p.joinIDs(s, o, img); err != nil {
		return nil, err
	}
	return p, nil
}

// config fills the portable part.
func (p *plan) config(o *CreateOptions, image *store.ImageConfig, detached bool) (err error) {
	r, c := p.record, &p.record.Config
	if c.Entrypoint, c.Cmd, err = joinCommand(o.Entrypoint, o.Command, image); err != nil {
		return err
	}
	argv := append(append([]string(nil), c.Entrypoint...), c.Cmd...)
	r.Path, r.Args = argv[0], argv[1:]
	if c.Env, err = createEnv(o, image.Env); err != nil {
		return err
	}
	if isHello(o.Image) {
		c.Env = append(c.Env, helloEnv())
	}
	if c.Labels, err = parseLabels(o.LabelFiles, o.Labels, image.Labels); err != nil {
		return err
	}
	if c.WorkingDir, err = joinWorkdir(o.Workdir, image.WorkingDir); err != nil {
		return err
	}
	if err := checkHostname(o.Hostname); err != nil {
		return err
	}
	if err := checkHostname(o.Domainname); err != nil {
		return fmt.Errorf("domain name: %w", err)
	}
	if c.Hostname, err = p.hostname(o); err != nil {
		return err
	}
	c.Domainname = o.Domainname
	if c.User = o.User; c.User == "" {
		c.User = image.User
	}
	if c.StopSignal = o.StopSignal; c.StopSignal == "" {
		c.StopSignal = image.StopSignal
	} else if _, err := ParseSignal(c.StopSignal); err != nil {
		return err
	}
	c.StopTimeout, c.Timeout = o.StopTimeout, o.Timeout
	if c.Healthcheck, err = o.healthcheck(image.Healthcheck); err != nil {
		return err
	}
	c.Image, c.Volumes = o.Image, image.Volumes
	c.Tty, c.OpenStdin = o.TTY, o.Interactive
	return attachments(c, o.Attach, detached)
}

// hostname is the one asked for, else that of the host or container whose network is
// shared, else the beginning of the id.
func (p *plan) hostname(o *CreateOptions) (string, error) {
	if o.Hostname != "" {
		return o.Hostname, nil
	}
	if hostnameShared(o, p.network.Mode) {
		if name, err := os.Hostname(); err == nil && checkHostname(name) == nil {
			return name, nil
		}
	}
	if p.peer != nil {
		r, err := p.peer.Record()
		if err != nil {
			return "", err
		}
		return r.Config.Hostname, nil
	}
	return p.record.ID[:12], nil
}

// attachments is Docker's rule for the streams that the creator is connected to.
func attachments(c *store.Config, streams []string, detached bool) error {
	if detached {
		return nil
	}
	if len(streams) == 0 {
		c.AttachStdin, c.AttachStdout, c.AttachStderr = c.OpenStdin, true, true
	}
	for _, stream := range streams {
		switch strings.ToLower(stream) {
		case "stdin":
			c.AttachStdin = true
		case "stdout":
			c.AttachStdout = true
		case "stderr":
			c.AttachStderr = true
		default:
			return fmt.Errorf("invalid stream %q: valid streams are STDIN, STDOUT and STDERR", stream)
		}
	}
	c.StdinOnce = c.OpenStdin && c.AttachStdin
	return nil
}

// hostConfig fills the part that concerns this host.
func (p *plan) hostConfig(s *store.Store, o *CreateOptions) (err error) {
	h := &p.record.HostConfig
	*h = store.HostConfig{
		AutoRemove: o.AutoRemove, NetworkMode: string(p.network.Mode), Privileged: o.Privileged, ReadonlyRootfs: o.ReadOnly,
		Init: o.Init, ContainerIDFile: o.CIDFile, PidFile: o.PidFile,
		DNS: p.network.DNS.Servers, DNSSearch: p.network.DNS.Search, DNSOptions: p.network.DNS.Options,
		ExtraHosts: p.network.Hosts, Links: p.network.Links, Sysctls: p.network.Sysctls,
	}
	if err := p.limits(o); err != nil {
		return err
	}
	if err := p.isolation(s, o); err != nil {
		return err
	}
	if err := p.groups(o.GroupAdd); err != nil {
		return err
	}
	h.Runtime = o.Runtime
	if h.RestartPolicy, err = parseRestart(o.Restart, o.AutoRemove); err != nil {
		return err
	}
	if h.CapAdd, err = normalCapabilities(o.CapAdd, "cap-add"); err != nil {
		return err
	}
	if h.CapDrop, err = normalCapabilities(o.CapDrop, "cap-drop"); err != nil {
		return err
	}
	if p.security, h.SecurityOpt, err = parseSecurity(o.SecurityOpt); err != nil {
		return err
	}
	if h.Ulimits, err = parseUlimits(o.Ulimits); err != nil {
		return err
	}
	if h.ShmSize, err = parseShmSize(o.ShmSize); err != nil {
		return err
	}
	if h.LogConfig, err = parseLog(o.LogDriver, o.LogOpts); err != nil {
		return err
	}
	paths, err := p.vendorDevices(o)
	if err != nil {
		return err
	}
	if h.Devices, err = parseDevices(paths); err != nil {
		return err
	}
	return joinMounts(s, h, o)
}

// joinMounts reads -v, --mount, --tmpfs and --volumes-from, which share the container's paths.
func joinMounts(s *store.Store, h *store.HostConfig, o *CreateOptions) error {
	taken := map[string]bool{}
	take := func(target string) error {
		if taken[target] {
			return fmt.Errorf("duplicate mount point: %s", target)
		}
		taken[target] = true
		return nil
	}
	for _, spec := range o.Volumes {
		m, err := parseVolume(spec)
		if err == nil {
			err = take(m.Target)
		}
		if err != nil {
			return err
		}
		_, inside, _ := strings.Cut(spec, ":")
		h.Binds, h.Mounts = append(h.Binds, m.Source+":"+inside), append(h.Mounts, m)
	}
	for _, spec := range o.Mounts {
		m, err := parseMount(spec)
		if err == nil {
			err = take(m.Target)
		}
		if err != nil {
			return err
		}
		h.Mounts = append(h.Mounts, m)
	}
	for _, spec := range o.Tmpfs {
		target, options, err := parseTmpfs(spec)
		if err == nil {
			err = take(target)
		}
		if err != nil {
			return err
		}
		setTmpfs(h, target, options)
	}
	return mountsFrom(s, h, o.VolumesFrom, taken)
}
