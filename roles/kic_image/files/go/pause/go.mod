module nodeforge.kic/pause

go 1.25.0
