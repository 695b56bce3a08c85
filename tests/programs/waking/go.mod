module waking

go 1.21
