"""The terms of Creative Commons licences in all languages of the licences.

Normalised by `fold_text`: lower case, without accents. A blank matches any hyphens, blanks or nothing: `non commercial`
is also NonCommercial and Non-Commercial. Sources: the titles of the deeds on creativecommons.org, versions 1.0 to 4.0,
and the names used by archives.
"""

from __future__ import annotations

from collections.abc import Mapping

BY = (
    "attribution", "paternite", "namensnennung", "reconocimiento", "atribucion", "attribuzione", "atribuicao",
    "naamsvermelding", "navngivelse", "navngivning", "erkannande", "nimea", "uznanie autorstwa", "uvedte puvod",
    "uvedte autora", "uvedenie autora", "uvedte puvod dila", "nevezd meg", "jelold meg", "reconeixement",
    "recoñecemento", "aitortu", "atribuire", "atribuirea", "imenovanje", "priznanje avtorstva",
    "autorile viitamine", "attiecinajums", "atsaukties", "priskyrimas", "atif", "αναφορα δημιουργου", "αναφορα",
    "атрибуция", "с указанием авторства", "із зазначенням авторства", "зазначення авторства", "признание", "表示",
    "署名", "姓名標示", "저작자표시", "atribusi",
)  # fmt: skip
NC = (
    "non commercial", "non commercial use", "non commercially", "non commercial use only",
    "non commercial purposes only", "pas d utilisation commerciale", "non commerciale",
    "utilisation non commerciale", "pas d usage commercial", "nicht kommerziell", "nicht kommerzielle nutzung",
    "keine kommerzielle nutzung", "no comercial", "sin uso comercial", "uso no comercial", "nao comercial",
    "uso nao comercial", "niet commercieel", "ikke kommerciel", "ikke kommersiell", "icke kommersiell",
    "ei kaupallinen", "epakaupallinen", "uzycie niekomercyjne", "niekomercyjne", "neuzivejte komercne",
    "neuzivejte dilo komercne", "nekomercne pouzitie", "nekomercni", "ne add el", "non comercial", "ez komertziala",
    "necomercial", "nekomercijalno", "nekomercialno", "mitteariline eesmark", "mittearilisel eesmargil",
    "nekomercials", "nekomercinis platinimas", "nekomercinis", "gayri ticari", "μη εμπορικη χρηση",
    "некоммерческая", "некоммерческое использование", "некоммерчески", "некомерційна", "некомерційне використання",
    "некомерсиално", "非営利", "非商业性使用", "非商业性", "非商業性", "非商業性使用", "비영리", "non komersial",
)  # fmt: skip
ND = (
    "no derivatives", "no derivs", "no derivative works", "no derivative", "pas de modification",
    "pas de modifications", "keine bearbeitung", "keine bearbeitungen", "sin obra derivada", "sin obras derivadas",
    "sin derivadas", "sin derivar", "non opere derivate", "sem derivacoes", "sem derivados", "sem derivadas",
    "vedada a criacao de obras derivadas", "proibicao de realizacao de obras derivadas", "geen afgeleide werken",
    "ingen bearbejdelse", "ingen bearbejdelser", "ingen afledte vaerker", "inga bearbetningar",
    "ingen bearbeidelse", "ingen bearbeidelser", "ei muutoksia", "ei muunneltuja teoksia", "bez utworow zaleznych",
    "nezasahujte do dila", "nezpracovavejte", "nezpracovavat", "bez odvodenin", "bez odvodenych diel",
    "ne valtoztasd", "ne valtoztasd meg", "sense obra derivada", "sen obra derivada", "lan eratorririk gabe",
    "fara modificari", "fara opere derivate", "bez prerada", "brez predelav", "tuletatud teoste keeld",
    "bez atvasinajumiem", "jokiu isvestiniu darbu", "turetilemez", "οχι παραγωγα εργα", "без производных",
    "без производных произведений", "без похідних", "без похідних творів", "без производни", "改変禁止", "禁止演绎",
    "禁止改作", "변경금지", "tanpa turunan",
)  # fmt: skip
SA = (
    "share alike", "partage dans les memes conditions", "partage a l identique",
    "partage des conditions initiales a l identique", "weitergabe unter gleichen bedingungen", "compartir igual",
    "compartir bajo la misma licencia", "condividi allo stesso modo", "compartilha igual",
    "compartilhamento pela mesma licenca", "partilha nos mesmos termos", "partilha nas mesmas condicoes",
    "gelijk delen", "del pa samme vilkar", "del pa samme mate", "dela lika", "jaa samoin", "tarttuva",
    "na tych samych warunkach", "zachovejte licenci", "rovnake sirenie", "igy add tovabb", "partekatu berdin",
    "partajare in conditii identice", "distribuire in conditii identice", "dijeli pod istim uvjetima",
    "deljenje pod enakimi pogoji", "jagamine samadel tingimustel", "analogisks",
    "dalisanas ar lidzigiem nosacijumiem", "analogiskas platinimas", "ayni lisansla paylas", "lisans devam",
    "παρομοια διανομη", "на тех же условиях", "с сохранением условий", "распространение на тех же условиях",
    "поширення на тих самих умовах", "на тих самих умовах", "споделяне на споделеното", "継承", "相同方式共享",
    "相同方式分享", "동일조건변경허락", "berbagi serupa",
)  # fmt: skip
CREATIVE_COMMONS = (
    "creative commons", "cc", "クリエイティブ コモンズ", "知识共享", "知識共享", "创作共用", "創用 cc", "創用",
    "크리에이티브 커먼즈", "креатив коммонс",
)  # fmt: skip
ZERO = (
    "cc 0", "cc zero", "creative commons zero", "creative commons 0", "creative commons cc 0",
)  # fmt: skip
MARK = (
    "public domain mark", "pdm", "cc pdm", "marque du domaine public", "パブリック ドメイン マーク",
)  # fmt: skip
DOMAIN = (
    "public domain", "public domain dedication", "pd", "pd self", "cc pddc", "domaine public", "gemeinfrei",
    "gemeinfreiheit", "dominio publico", "pubblico dominio", "publiek domein", "offentlig ejendom", "offentlig eie",
    "allmän egendom", "tekijanoikeusvapaa", "domena publiczna", "volne dilo", "verejna domena", "közkincs",
    "общественное достояние", "суспільне надбання", "パブリック ドメイン", "公有领域", "公有領域", "公共领域",
    "퍼블릭 도메인",
)  # fmt: skip
RESERVED = (
    "all rights reserved", "all rights are reserved", "no rights granted", "tous droits reserves",
    "alle rechte vorbehalten", "todos los derechos reservados", "tutti i diritti riservati",
    "todos os direitos reservados", "alle rechten voorbehouden", "alle rettigheder forbeholdes",
    "alle rettigheder forbeholdt", "alle rettigheter forbeholdt", "alle rettigheter reservert",
    "alla rattigheter forbehallna", "alla rattigheter reserverade", "kaikki oikeudet pidatetaan",
    "wszelkie prawa zastrzezone", "wszystkie prawa zastrzezone", "vsechna prava vyhrazena",
    "vsetky prava vyhradene", "minden jog fenntartva", "tots els drets reservats", "toate drepturile rezervate",
    "sva prava pridrzana", "vse pravice pridrzane", "koik oigused kaitstud", "tum haklari saklidir",
    "все права защищены", "усі права захищені", "всички права запазени", "με την επιφυλαξη παντος δικαιωματος",
    "無断転載禁止", "版权所有", "版權所有", "保留所有权利", "保留所有權利",
)  # fmt: skip
VERSION_NAMES = (
    "international", "int", "intl", "internacional", "internazionale", "internationale", "internationaal",
    "internasjonal", "internationell", "kansainvalinen", "miedzynarodowe", "miedzynarodowa", "mezinarodni",
    "medzinarodna", "nemzetkozi", "mednarodna", "medunarodna", "rahvusvaheline", "uluslararasi", "starptautiska",
    "tarptautine", "διεθνες", "международная", "міжнародна", "всемирная", "国際", "国际", "國際", "국제",
    "unported", "non transpose", "nicht portiert", "generic", "generico", "generique", "generisch", "algemeen",
    "universal", "universell", "universel",
)  # fmt: skip
"""Creative Commons' names for unported versions."""

PLAIN = (
    "licence", "license", "licensed", "licenced", "lizenz", "lizenziert", "licencia", "licenza", "licenca",
    "licentie", "licens", "lisens", "lisenssi", "licencja", "licencje", "licencija", "licent", "licenta",
    "litsents", "lisansi", "lisensi", "лицензия", "ліцензія", "лиценз", "ライセンス", "许可协议", "许可证",
    "授權條款", "라이선스", "version", "ver", "v", "dedication", "deed", "usage terms", "licence type",
    "image licence", "photo licence", "copyright licence", "some rights reserved", "certains droits reserves",
    "einige rechte vorbehalten", "algunos derechos reservados", "alcuni diritti riservati",
    "alguns direitos reservados", "sommige rechten voorbehouden", "no rights reserved", "this work is",
    "this image is", "this photo is", "this file is", "is", "in the", "under a", "under the", "under",
    "available under", "distributed under", "released under", "released into the", "published under",
    "licensed under", "the terms of the", "mis a disposition selon les termes de la", "sous", "unter",
    "unter einer", "bajo", "sotto", "sob", "the", "a", "photo", "image", "media",
)  # fmt: skip
"""Neutral words, which neither grant nor restrict anything."""

ALTERNATIVES = (
    "gfdl", "gnu free documentation license", "gnu fdl", "fal", "free art license", "licence art libre",
)  # fmt: skip
"""Other free licences that can be offered beside one of Creative Commons', at the user's choice."""

NAMED: Mapping[str, str] = {
    "creative commons wikipedia compatible v3.0": "CC-BY-SA-3.0",
    "creative commons wikipedia compatible v2.5": "CC-BY-SA-2.5",
    "creative commons non-commercial v3.0": "CC-BY-NC-SA-3.0",
    "creative commons non-commercial v2.5": "CC-BY-NC-SA-2.5",
}
"""Whole texts with a known meaning: Mushroom Observer's names for its licences."""

PORTS = frozenset((
    "am", "ar", "at", "au", "az", "be", "bg", "br", "ca", "ch", "cl", "cn", "co", "cr", "cz", "de", "dk", "ec",
    "ee", "eg", "es", "fi", "fr", "ge", "gr", "gt", "hk", "hr", "hu", "ie", "igo", "il", "in", "it", "jp", "kr",
    "lu", "mk", "mt", "mx", "my", "ni", "nl", "no", "nz", "pe", "ph", "pl", "pr", "pt", "ro", "rs", "scotland",
    "se", "sg", "si", "th", "tw", "ua", "ug", "uk", "us", "ve", "vn", "za",
))  # fmt: skip
"""Jurisdictions of ports of versions 1.0 to 3.0, as in the licences' URLs."""
