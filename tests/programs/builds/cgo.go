//go:build withcgo

package main

// static int twice(int x) { return 2 * x; }
import "C"

import "example.com/depot"

func init() {
	depot.Sold += int(C.twice(0))
}
