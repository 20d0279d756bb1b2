package cli

import "github.com/spf13/pflag"

// windowsOnly is why a flag of Windows containers is refused.
const windowsOnly = "it sets what only Windows containers have"

// addRefused: docker's flags that cannot work on Linux or without root, then podman's.
func (*containerFlags) addRefused(flags *pflag.FlagSet) {
	for _, r := range []struct {
		refusal
		usage string
	}{
		{refusal{"cpu-count", "int", windowsOnly, "use --cpus"}, "CPU count (Windows only)"},
		{refusal{"cpu-percent", "int", windowsOnly, "use --cpus"}, "CPU percent (Windows only)"},
		{refusal{"io-maxbandwidth", "bytes", windowsOnly, "use --device-read-bps and --device-write-bps"}, "Maximum IO bandwidth limit for the system drive (Windows only)"},
		{refusal{"io-maxiops", "uint", windowsOnly, "use --device-read-iops and --device-write-iops"}, "Maximum IOps limit for the system drive (Windows only)"},
		{refusal{"device-cgroup-rule", "list", "rules for devices are programs that only root may load; without them the device's file permissions count",
			"give the device itself by --device"}, "Add a rule to the cgroup allowed devices list"},
		{refusal{"kernel-memory", "bytes", "the kernel has no limit for its own memory alone since 5.16", "use --memory, which counts it"}, "Kernel memory limit"},
		{refusal{"use-api-socket", "bool", "there is no daemon, and so no socket of one", ""}, "Bind mount Docker API socket and required auth"},
	} {
		refuse(flags, r.refusal, r.usage)
	}
	addContentTrust(flags)
	fix(flags, "cgroups", fixed{"enabled", refusal{"cgroups", "string", "a container has a cgroup of its own wherever the host gives it one", "--cgroup-parent says where it lies"}}, "Whether the container has a cgroup")
	fix(flags, "passwd", fixed{"false", refusal{"passwd=true", "bool", "the image's /etc/passwd stays as it is", "mount a file of your own: -v ./passwd:/etc/passwd:ro"}}, "Add the user to the image's /etc/passwd")
	fix(flags, "sdnotify", fixed{"ignore", refusal{"sdnotify", "string", "skiff tells systemd nothing, and has no socket of systemd's for a container", "in the unit, Type=exec with skiff run, or Type=forking with skiff run -d --pidfile FILE and PIDFile=FILE"}}, "Who tells systemd that the container is ready")
	for _, name := range []string{"cgroups", "passwd", "sdnotify"} {
		flags.Lookup(name).Hidden = true
	}
	refusePodman(flags)
}

// refusePodman are podman's flags that mean a part that skiff does not have.
func refusePodman(flags *pflag.FlagSet) {
	for _, r := range []refusal{
		{"chrootdirs", "strings", "no program of a container runs in a root within its root", "mount the files where they are needed: -v"},
		{"conmon-pidfile", "string", "there is no conmon", "skiff inspect --format {{.State.Pid}} tells the container's process"},
		{"decryption-key", "strings", "encrypted images are not supported", "decrypt the image first: skopeo copy --decryption-key"},
		{"group-entry", "string", "the image's /etc/group stays as it is", "mount a file of your own: -v ./group:/etc/group:ro"},
		{"hostuser", "strings", "the image's /etc/passwd stays as it is", "mount a file of your own: -v ./passwd:/etc/passwd:ro"},
		{"init-ctr", "string", "init containers belong to pods, which skiff does not have yet", "start them first: --requires"},
		{"init-path", "string", "the init of --init is built in", "mount yours, and name it as --entrypoint"},
		{"passwd-entry", "string", "the image's /etc/passwd stays as it is", "mount a file of your own: -v ./passwd:/etc/passwd:ro"},
		{"personality", "string", "the execution domain of a container is the host's", "run the command by setarch(8) in the container"},
		{"pod", "string", "skiff does not have pods yet", "share a network instead: --network container:NAME"},
		{"pod-id-file", "string", "skiff does not have pods yet", "share a network instead: --network container:NAME"},
		{"rdt-class", "string", "cache and memory bandwidth are root's to divide", ""},
		{"seccomp-policy", "string", "images carry no seccomp profiles for skiff", "name one: --security-opt seccomp=FILE"},
		{"shm-size-systemd", "bytes", "the tmpfs of --systemd have the kernel's bound", "mount them yourself: --tmpfs /run:size=64m"},
		{"signature-policy", "string", "signatures are not verified yet", "name the image by its digest: IMAGE@sha256:…"},
	} {
		refuseHidden(flags, r.name, r.kind, r.why, r.hint)
	}
}

// addContentTrust is --disable-content-trust, which is true and cannot be otherwise.
func addContentTrust(flags *pflag.FlagSet) {
	fix(flags, "disable-content-trust", fixed{"true", refusal{"disable-content-trust=false", "bool", "signatures of Docker Content Trust, which was given up, are not verified", "name the image by its digest: IMAGE@sha256:…"}},
		"Skip image verification")
}
