rapids doctor
rapids doctor --canary
rapids subscribe r1 system.Ping
rapids doctor --canary --wait 4
