package run

// ProcessOptions are podman's flags for what a container's process finds.
type ProcessOptions struct {
	EnvHost     bool     // all of the caller's variables, below those of -e
	HTTPProxy   bool     // the caller's variables for proxies
	EnvMerge    []string // KEY=VALUE, where ${NAME} is the image's variable
	UnsetEnv    []string // variables of the image, or skiff's own, to leave out
	UnsetEnvAll bool
	Timezone    string // "local", or a name of tzdata
	Umask       string // octal
	Systemd     string // "true", "false" or "always"

	NoHosts       bool // leave the image's /etc/hosts
	NoHostname    bool // and /etc/hostname
	ReadOnlyTmpfs bool // with ReadOnly: /run, /tmp and /var/tmp can be written
	ImageVolume   string
	GPUs          []string // as docker takes them
	CDISpecDirs   []string // folders of CDI files; the usual ones where empty
	Secrets       []string // NAME[,type=mount|env,target=…]
	VolumesFrom   []string // NAME[:ro|rw]
	VolumeDriver  string
	StorageOpts   []string

	Rootfs bool // Image names a folder of the host's in place of an image

	Replace  bool     // remove the container that has the name
	Requires []string // containers that must run first
}
