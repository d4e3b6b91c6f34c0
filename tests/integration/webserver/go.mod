module nodeforge.kic/webserver

go 1.24
