package run

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/registry"
	"github.com/skiff-containers/skiff/store"
)

// Inspect describes a container.
func (e *Engine) Inspect(ctx context.Context, ref string) (*ContainerInspect, error) {
	defer e.tidy()()
	c, err := e.Store.Find(ref)
	if err != nil {
		return nil, err
	}
	state, err := c.State()
	if err != nil {
		return nil, err
	}
	r, err := c.Record()
	if err != nil {
		return nil, err
	}
	args := r.Args
	if args == nil {
		args = []string{}
	}
	system, _, _ := strings.Cut(r.Image.Platform, "/")
	i := &ContainerInspect{
		ID: c.ID, Name: "/" + r.Name, Created: stamp(r.Created), Path: r.Path, Args: args,
		State: stateOf(state), Image: r.Image.ID, Driver: r.Driver, Platform: system,
		ResolvConfPath: filepath.Join(c.Dir, fileResolv), HostnamePath: filepath.Join(c.Dir, fileHostname), HostsPath: filepath.Join(c.Dir, fileHosts),
		HostConfig: inspectHostConfig(r.HostConfig), Config: inspectConfig(&r.Config), Mounts: mountPoints(&r.HostConfig),
		GraphDriver: GraphDriver{Name: r.Driver, Data: map[string]string{
			"LowerDir": e.lowers(r.Image.Layers), "UpperDir": filepath.Join(c.Dir, "upper"),
			"WorkDir": filepath.Join(c.Dir, "work"), "MergedDir": filepath.Join(c.Dir, "merged"),
		}},
	}
	i.PidFile, i.AppArmorProfile = r.HostConfig.PidFile, appArmorOf(r.HostConfig.SecurityOpt)
	i.RestartCount, i.State.Health = state.RestartCount, e.HealthOf(r, state)
	if state.Status == store.Running {
		i.ExecIDs = execsOf(ctx, c)
	}
	if i.NetworkSettings, err = e.networkSettings(c, r, state); err != nil {
		return nil, err
	}
	if r.HostConfig.LogConfig.Type != "none" {
		i.LogPath = filepath.Join(c.Dir, logName)
	}
	return i, nil
}

func stateOf(s *store.State) ContainerState {
	out := ContainerState{Status: s.Status, Running: s.Up(), Paused: s.Status == store.Paused, Restarting: s.Status == store.Restarting,
		OOMKilled: s.OOMKilled, ExitCode: s.ExitCode, Error: s.Error, StartedAt: stamp(s.StartedAt), FinishedAt: stamp(s.FinishedAt)}
	if s.Alive() {
		out.Pid = s.Init.PID
	}
	return out
}

// stamp is a time as Docker prints it in JSON.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// lowers lists the layers' folders as overlayfs takes them, the highest first.
func (e *Engine) lowers(layers []string) string {
	paths := make([]string, len(layers))
	for i, layer := range layers {
		paths[len(layers)-1-i] = e.Store.LayerPath(layer)
	}
	return strings.Join(paths, ":")
}

// maxConfig bounds the config of an image that is read for inspect.
const maxConfig = 4 << 20

// InspectImage describes an image. It wraps store.ErrNoImage.
func (e *Engine) InspectImage(ctx context.Context, text string) (*ImageInspect, error) {
	img, _, err := registry.Find(e.Store, text)
	if err != nil {
		return nil, err
	}
	refs, err := e.namesOf(img)
	if err != nil {
		return nil, err
	}
	i := &ImageInspect{
		ID: img.ID, RepoTags: []string{}, RepoDigests: []string{}, Created: stamp(img.Created), Config: inspectImageConfig(img.Config), Size: img.Size,
		RootFS: RootFS{Type: "layers", Layers: img.DiffIDs},
	}
	var tagged time.Time
	for _, ref := range refs {
		if named := e.namedAt(ref); named.After(tagged) {
			tagged = named
		}
		if ref.Tag != "" {
			i.RepoTags = append(i.RepoTags, ref.Familiar())
		}
		name := ref.FamiliarName() + "@" + img.Digest
		if img.Digest != "" && (len(i.RepoDigests) == 0 || i.RepoDigests[len(i.RepoDigests)-1] != name) {
			i.RepoDigests = append(i.RepoDigests, name)
		}
	}
	i.Metadata.LastTagTime = stamp(tagged)
	if driver, err := e.Store.Driver(); err == nil {
		i.GraphDriver = GraphDriver{Name: driver, Data: map[string]string{"LowerDir": e.lowers(img.Layers)}}
	}
	i.Os, i.Architecture = "linux", runtime.GOARCH
	if parts := strings.Split(img.Platform, "/"); len(parts) > 1 {
		i.Os, i.Architecture, i.Variant = parts[0], parts[1], strings.Join(parts[2:], "/")
	}
	return i, e.describe(img, i)
}

func inspectImageConfig(c store.ImageConfig) ImageInspectConfig {
	return ImageInspectConfig{
		ImageConfig: c, User: c.User, Env: c.Env, Cmd: c.Cmd, Volumes: c.Volumes,
		WorkingDir: c.WorkingDir, Entrypoint: c.Entrypoint, Labels: c.Labels,
	}
}

// namedAt is when a name was given to the image that it leads to; the zero time where
// it went meanwhile. The file of a name is written anew each time.
func (e *Engine) namedAt(ref store.Ref) time.Time {
	path, err := e.Store.RefPath(ref)
	if err != nil {
		return time.Time{}
	}
	info, err := os.Lstat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// describe adds what only the config's blob has.
func (e *Engine) describe(img *store.Image, i *ImageInspect) error {
	data, err := e.Store.ReadBlob(img.ID, maxConfig)
	if err != nil {
		return fmt.Errorf("inspecting image %s: %w", img.ID, err)
	}
	var config struct {
		Author        string
		DockerVersion string `json:"docker_version"`
		Config        struct{ OnBuild, Shell []string }
		History       []struct{ Comment string }
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return fmt.Errorf("inspecting image %s: %w", img.ID, err)
	}
	i.Author, i.DockerVersion = config.Author, config.DockerVersion
	i.Config.OnBuild, i.Config.Shell = config.Config.OnBuild, config.Config.Shell
	if n := len(config.History); n > 0 {
		i.Comment = config.History[n-1].Comment
	}
	return nil
}
