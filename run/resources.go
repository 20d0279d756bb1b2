package run

// LimitOptions are the flags that bound what a container may use of the host.
type LimitOptions struct {
}
