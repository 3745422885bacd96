// Package crds names the Flux APIs whose definitions controller-gen writes: their repositories hold
// them, the modules do not.
package crds

import (
	_ "github.com/fluxcd/helm-controller/api/v2"
	_ "github.com/fluxcd/source-controller/api/v1"
)
