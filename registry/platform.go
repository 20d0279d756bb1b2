package registry

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// platform is what an image is built for (image-spec image-index.md).
type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
}

// hostPlatform is that of this machine.
func hostPlatform() platform {
	return platform{OS: runtime.GOOS, Architecture: runtime.GOARCH}.normal()
}

// architectures are those that Go has for Linux: what may stand for a platform alone.
var architectures = []string{
	"386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64", "s390x",
}

// parsePlatform reads "os/arch[/variant]", or "arch" alone as docker does.
func parsePlatform(text string) (platform, error) {
	parts := strings.Split(strings.ToLower(text), "/")
	p := platform{OS: "linux"}
	switch len(parts) {
	case 1:
		p.Architecture = parts[0]
		if parts[0] == "linux" {
			p.Architecture = runtime.GOARCH
		} else if !slices.Contains(architectures, p.normal().Architecture) {
			return p, fmt.Errorf("parsing platform %q: unknown operating system or architecture", text)
		}
	case 2:
		p.OS, p.Architecture = parts[0], parts[1]
	case 3:
		p.OS, p.Architecture, p.Variant = parts[0], parts[1], parts[2]
	}
	for _, part := range parts {
		if part == "" || strings.Trim(part, letters+digits+"_.-") != "" || len(parts) > 3 {
			return p, fmt.Errorf("parsing platform %q: not os/architecture[/variant], as in linux/arm64/v8", text)
		}
	}
	return p.normal(), nil
}

// normal writes the names that architectures also go by as Go does.
func (p platform) normal() platform {
	switch p.Architecture {
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	case "armhf":
		p.Architecture, p.Variant = "arm", "v7"
	case "armel":
		p.Architecture, p.Variant = "arm", "v6"
	case "i386":
		p.Architecture = "386"
	}
	switch p.Architecture + "/" + p.Variant {
	case "arm64/v8", "arm64/8", "amd64/v1":
		p.Variant = ""
	case "arm/":
		p.Variant = "v7"
	case "arm/5", "arm/6", "arm/7":
		p.Variant = "v" + p.Variant
	}
	return p
}

func (p platform) String() string {
	text := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		text += "/" + p.Variant
	}
	return text
}

// runs ranks how well an image of platform have serves one who wants p: 0 not at
// all, else more is better. A processor runs the variants before its own.
func (p platform) runs(have platform) int {
	have = have.normal()
	if have.OS != p.OS || have.Architecture != p.Architecture {
		return 0
	}
	switch {
	case have.Variant == p.Variant:
		return 100
	case have.Variant == "":
		return 50
	case p.Architecture == "arm" && len(have.Variant) == 2 && have.Variant < p.Variant:
		return 10 + int(have.Variant[1]-'0')
	case p.Architecture == "arm64" && p.Variant != "" && have.Variant < p.Variant:
		return 10
	}
	return 0
}
