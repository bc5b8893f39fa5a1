rapids subscribe r1 ViewPage
rapids subscribe r2 ViewPage
rapids rivers route r2 direct
rapids send ViewPage web {"name":"Sally"}
rapids send Unheard web
until CustomerSegmented: rapids trace $1 --wait 1
rapids trace $1 --mermaid
rapids trace 00000000-0000
rapids tail --since 1h --no-follow --type ViewPage
rapids tail --since 1h --no-follow --where name=Sally --source web
rapids tail --since yesterday
rapids explain segmentation $1
rapids explain r1 $1
rapids explain r1 $2
rapids explain nobody $1
rapids rivers route r1 direct
rapids explain r1 $1
rapids explain r1 nosuch.json
rapids replay --from 1h --river r1 --dry-run
rapids replay --from 1h --river r1
rapids replay --from 1h --river nobody
rapids readfrom r2 --peek
rapids readfrom r2 --peek
rapids readfrom r2 --max 1
rapids readfrom r2 --wait 0
rapids readfrom nobody
rapids send ViewPage app
rapids readfrom r2 --follow --max 1
