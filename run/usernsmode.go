package run

// UsernsOptions are the flags that say which ids a container has.
type UsernsOptions struct {
	Userns string // "", "host", "keep-id[:uid=N,gid=N,size=N]", "nomap" or "auto[:size=N]"
}
