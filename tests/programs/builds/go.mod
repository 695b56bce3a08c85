module example.com/builds

go 1.21

require example.com/depot v0.0.0

replace example.com/depot => ./depot
