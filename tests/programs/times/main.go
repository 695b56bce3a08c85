// time values and durations.
package main

import (
	"fmt"
	"time"
)

func main() {
	t := time.Date(2024, 2, 29, 12, 30, 15, 500, time.UTC)
	var zero time.Time
	d := 90 * time.Second
	m := time.March
	fmt.Println(t.Year(), zero.IsZero(), d, m) // BP
}
