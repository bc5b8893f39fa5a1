rapids subscribe r1 ViewPage
rapids subscribe r2 View*
rapids send ViewPage web
rapids send ViewPage web
rapids send Unheard app
rapids flow --since 1h
rapids flow --since 1h --mermaid
