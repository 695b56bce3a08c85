// Every scalar kind.
package main

import "fmt"

type celsius float64

func main() {
	b, nb := true, false
	i, i8, i16, i32, i64 := -1, int8(-8), int16(-16), int32(-32), int64(-1<<62)
	u, u8, u16, u32, u64 := uint(1), uint8(200), uint16(60000), uint32(1<<31), uint64(1<<63)
	up := uintptr(0xdeadbeef)
	f32, f64 := float32(1.5), 3.141592653589793
	c64, c128 := complex64(complex(1, -2)), complex(2.5, 0)
	r := 'é'
	s, e := "hello", ""
	t := celsius(36.6)
	nan, inf := f64, f64
	nan = (f64 - f64) / (inf - inf)
	inf = f64 / (f64 - f64)
	i++ // BP
	fmt.Println(b, nb, i, i8, i16, i32, i64, u, u8, u16, u32, u64, up, f32, f64, c64, c128, r, s, e, t, nan, inf)
}
