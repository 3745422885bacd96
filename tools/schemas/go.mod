// Nothing is built here: go.sum pins the modules whose API descriptions generate.py reads.
module fleetform.dev/tools/schemas

go 1.26.0
