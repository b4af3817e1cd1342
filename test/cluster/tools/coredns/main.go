// CoreDNS with the plugins that a test cluster's configuration names, and no others: those for the clouds' DNS services
// take most of the time that the whole of it takes to compile. (https://coredns.io/2017/07/25/compile-time-enabling-or-disabling-plugins)
package main

import (
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/file"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/kubernetes"
)

func main() {
	coremain.Run()
}
