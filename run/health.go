package run

// HealthOptions are the flags that say how a container's health is asked for.
type HealthOptions struct {
}
