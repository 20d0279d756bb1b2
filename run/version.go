package run

import (
	"runtime"
	"runtime/debug"
)

// release is set by the release build (-ldflags -X); a build by `go install` knows
// it from the module, any other from the commit.
var release string

// Version says what this program is. It needs no store.
func (e *Engine) Version() Version {
	v := Version{Version: release, GoVersion: runtime.Version(), Os: runtime.GOOS, Arch: runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		v.Module = info.Main.Path
		if v.Version == "" && info.Main.Version != "(devel)" {
			v.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.GitCommit = s.Value
			case "vcs.time":
				v.Built = s.Value
			}
		}
	}
	if v.Version == "" {
		v.Version = "devel"
	}
	return v
}
