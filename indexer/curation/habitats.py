"""Classifies texts on habitat and substrate in the languages of European records.

Matching ignores case and punctuation. `=word` is the whole word, `*part` a part of a longer one, anything else its
beginning; spaces stand for themselves. The classes are defined in docs/habitats.md.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

CONIFERS: Final = """
    conifer conifèr coníf spruce =pine =pines =fir =firs larch hemlock needle nåle nål =gran =graner granskov
    granskog granved granplant rødgran ædelgran sitkagran =fyr skovfyr fyrre fyrskov bjergfyr lærk douglas nadel
    fichte kiefer *fichtenwald *kiefernwald *tannenwald =tanne =tannen weißtanne weisstanne lärche barrskog
    barrträd barrved =tall tallskog lärk picea pinus abies larix pseudotsuga juniper taxus tsuga cedrus épicéa
    sapin =pin =pins mélèze résineux naaldbo naaldhout =spar =dennen grove.den abete =pino =pini =pinos abeto
    pineta świerk sosn jodł iglast smrk borov jehličnat jedle kuusi kuusik mänty havumets havupuu barskog bartre
    =furu furuskog
"""
BROADLEAVES: Final = """
    deciduous broadlea broad-lea hardwood beech =oak =oaks birch =alder =alders =ash hazel maple =lime linden
    =elm =elms poplar aspen willow hornbeam chestnut løv bøg =eg =ege egeskov egekrat egetræ birk rødel ellesump
    elleskov elletræ =ask asketræ hassel ahorn =lind linde poppel bævreasp =asp =pil piletræ avnbøg kastanje
    laub buche rotbuche *buchenwald *eichenwald *birkenwald eiche birke =erle erlen =esche eschen hasel ulme
    pappel hainbuche kastanie lövskog lövträ lövved lövblandskog =bok bokskog =ek ekskog björk =al alskog =lönn
    sälg fagus quercus betula alnus fraxinus corylus =acer tilia ulmus populus salix carpinus castanea aesculus
    prunus sorbus nothofagus eucalyptus crataegus feuillu hêtr chên bouleau aulne frên noisetier érable tilleul
    =orme peuplier =saule =charme loofbo loofhout =beuk beuken =eik eiken =berk berken =els =haya roble encina
    abedul aliso frondosa caducifol faggi faggeta querci castagn betull latifogli =buk buków dęb brzoz brzez
    liściast bučin =dub dubov bříz listnat koivu tammi lehtimets lehtipuu lehto lauvskog edelløv
"""
FORESTS: Final = """
    forest woodland wooded plantation =wood =woods taiga *skov *skog *wald gehölz forst *metsä *mets forêt foret
    =bois =bos *bos bosque bosco bosch lasu =lasy =lesy =les lesní lesie =krat egekrat
"""
HABITAT_WORDS: Final = {
    "wet-forest": """
        swamp.forest swamp.woodland wet.woodland wet.forest forest.bog bog.woodland =carr alder.carr riparian
        floodplain alluvial sumpskov skovmose ellesump askesump birkemose pilekrat *bruchwald *auwald auenwald
        sumpfwald moorwald sumpskog kärrskog strandskog aulnaie ripisylve moerasbos broekbos lužní =ols łęg
        rämekorpi korpi willow.scrub
    """,
    "garden": """
        garden =park =parks parkland churchyard cemetery graveyard lawn urban =town =city roadside road.side
        verge greenhouse hothouse indoor =roof yard kirkegård villahave i.have by.have =haver plæne græsplæne
        vejkant vejside drivhus villavej =garten gärten friedhof kirchhof =rasen zierrasen parkrasen straßenrand
        strassenrand wegrand gewächshaus stadt trädgård kyrkogård gräsmatt vägkant vägren tätort =stad jardin
        =parc =parcs cimetièr gazon bord.de.route =tuin tuinen begraafplaats =berm bermen wegberm jardín parque
        cementerio giardin parco cimitero ogród ogrod cmentarz trawnik zahrad hřbitov trávník puutarha puisto
        hautausmaa nurmikko =hage kirkegard veikant
    """,
    "coast": """
        dune =dunes coast beach salt.?meadow salt.?marsh seashore seaside shingle klit =strand strande strandeng
        kyst düne küste salzwiese =dyn dyner sanddyn havsstrand kust littoral plage =duin duinen playa spiaggia
        duna wydm duny merenrant dyyni sanddyne
    """,
    "bog": """
        =bog =bogs mire =fen =fens marsh peatland swamp =mose =moser højmose rigkær =kær kærområde tørvemose
        hochmoor niedermoor =moor moore sumpf =myr myrar =kärr =mosse mossar högmosse tourbièr =marais hoogveen
        laagveen moeras turbera torbiera torfowisk bagn rašelin slatin =suo neva =räme myrområde
    """,
    "heath": """
        heath moorland =hede heder hedeområde heide *heide =hed hedmark ljunghed ljung =landes callune brezal
        brughiera wrzosow vřesov nummi kanerva lynghei
    """,
    "arable": """
        arable cropland crop stubble fallow =field.in cultivated agricultur fertili agermark =ager agre =mark
        =brak brakmark omdrift acker =äcker =feld brache åkermark =åker =åkrar träda =champ =champs jachère
        culture akker bouwland cultivo campo.coltivato pole.uprawn orná =pelto pellon dyrket
    """,
    "scrub": """
        scrub shrub thicket hedge =krat tornekrat levende.hegn =hegn gebüsch hecke *busch snår buskmark busk
        fourré haie maquis garrigue matorral struweel haag macchia siepe zarośl křovi pensaikko kratt
    """,
    "grassland": """
        grass meadow pasture prairie steppe savanna overdrev græs =eng =enge engområde græsning wiese *wiese
        *rasen weide.?land viehweide mähwiese =äng ängs betesmark hagmark hage naturbete gräs =pré =prés prairie
        pelouse pâtur grasland weiland hooiland wei.land pradera prado pastizal prat =prati pascol łąk muraw
        pastwisk louk luční pastvin niitty keto laidun =eng slåtte beitemark
    """,
    "bare-ground": """
        gravel quarry sand.?pit clay.?pit =rock =rocks rocky scree ruderal waste.?land railway grusgrav lergrav
        råstofgrav =klippe klipper ruderat jernbane kiesgrube sandgrube steinbruch =fels felsen bahndamm grustag
        grustäkt =klippa berghäll järnväg carrièr rocher friche groeve rots cantera =roca cava =roccia
        kamieniołom żwirown =lom skál hiekkakuop kallio
    """,
}
MIXED: Final = """
    mixed blandskov blandings blandet mischwald mischbestand misch laub.nadel blandskog blandad mixte mélangé
    gemengd misto mixto sekametsä sekamets mieszan smíšen barblanding
"""
WOODS: Final = """
    wood =log =logs stump trunk branch twig =bark timber snag =ved *ved =stub =stubbe stød stamme gren kvist
    =pind pinde tømmer træ dødt.ved dødt.træ holz *holz stamm stumpf stubben =ast =äste zweig rinde stubbar
    =låga =lågor stock död.ved kvistar bois *souche tronc branche écorce =hout *hout stronk stobbe =tak =takken
    schors madera tronco =rama ramas tocón legno ceppai ramo corteccia drewn pień gałąz kłod dřev pařez kmen
    větv puu *puu kanto oksa
"""
SUBSTRATE_WORDS: Final = {
    "dung": """
        dung *dung faeces feces manure excrement droppings =scat ekskrement gødning møg =lort *kot =kot
        kuhfladen =mist dynga spillning gödsel excréments crottin fumier bouse =mest uitwerpselen estiércol
        letame sterco odchod łajn hnůj trus =lanta
    """,
    "burnt-ground": """
        burnt burned =fire fire.?(?:place|spot|site) charcoal =ash.heap bålplads bålplet brandplet brandplet
        forkul brandstelle brandfläch feuerstelle holzkohle brandplats brandfläck brûlé brulé charbon.de
        brandplek houtskool quemad carbón bruciat carbon.ella ognisk spálen palanut palopaik
    """,
    "mulch": """
        mulch wood.?chip bark.chip chipped sawdust compost =flis træflis barkflis savsmuld kompost hackschnitzel
        häcksel sägemehl spån bark.mulch barkflis broyat copeaux sciure houtsnipper snippers schors.snipper
        astilla serrín trucioli segatura zrębk trocin štěpk pilin hake puru
    """,
    "living-tree": """
        living.(?:tree|wood|branch|trunk) live.(?:tree|wood|branch) living.trees of.living.trees standing.live
        levende.(?:træ|ved|stamme|gren) på.levende barken.af.levende lebend levande.(?:träd|stam|ved)
        arbre.vivant bois.vivant levend árbol.vivo albero.vivo żyw živ elävä
    """,
    "cones": """
        =cone =cones fircone pinecone acorn cupule =nut =nuts =fruit =fruits catkin beechmast kogle grankogle
        frugt agern bogskål bog.?skåle rakle zapfen *zapfen eichel bucheckern fruchtschalen fruchtbecher
        kätzchen kotte kottar ekollon bokollon frukt cône gland faîne fruit kegel dennenappel eikel napje piña
        bellota pigna ghianda szyszk žołąd šišk žalud käpy terho
    """,
    "litter": """
        litter =leaf =leaves needle løvstrøelse nålestrøelse strøelse blad blade nåle =nål førne laubstreu
        nadelstreu streu =laub laubschicht =nadeln förna lövförna barrförna =löv =barr litière feuilles
        aiguilles strooisel bladeren naalden hojarasca acículas lettiera foglie aghi ściółk liśc igliwi opad
        hrabank listí jehlič karike neulas
    """,
    "herbs": """
        herb =stem =stems stalk reed rush sedge nettle fern bracken straw =hay =grass.stem grasses living.lea
        urter urte stængel stængler strå tagrør brændenælde bregne kraut kräuter stängel halm schilf brennnessel
        farn ört stjälk =vass =gräs ormbunk tige herbacé roseau ortie fougère kruid stengel riet varen tallo
        hierba gambo erba =canna łodyg ziół trzcin stonk bylin rákos varsi ruoho
    """,
    "fungi": """
        fungi fungus mushroom =russula =lactarius fruitbod fruit.?bod mycetozo svamp svampe pilz pilze =svampar
        champignon paddenstoel hongo =setas fungo funghi grzyb houb =sieni sienet
    """,
    "animal": """
        insect spider =moth pupa larva feather =bone =bones carcass =hair =horn =wool insekt edderkop fjer
        knogle spinne feder knochen =haare spindel fjäder =ben.av =os plume araign veer =bot insetto piuma owad
        pióro hmyz hyönte
    """,
    "moss": """
        moss mosses bryophyt sphagnum =mos mosser tørvemos =moos moose torfmoos mossa mossor vitmossa mousse
        sphaigne =mossen veenmos musgo muschi =mech mchy mchu mechy rašeliník sammal
    """,
    "stone": """
        stone =rock =rocks brick =wall mortar concrete =sten stene =mur mursten beton stein =fels mauer =mauern
        =stenar pierre rocher =mur steen rots piedra pietra kamień kámen kivi
    """,
    "soil": """
        soil =ground earth humus =sand sandy clay =peat gravel =mud loam =jord jordbund muld =ler boden =erde
        lehm =torf =kies =mark mull lera =torv terre =sol argile sable tourbe grond bodem aarde =klei suelo
        tierra arena suolo terra terreno gleb ziemi piask půd zem písek maa =turve
    """,
}
STATED_IN_HABITAT: Final = """
    dead.wood =log =logs stump fallen trunk dødt.ved dødt.træ =stub totholz baumstumpf död.ved =låga bois.mort
    souche dood.hout madera.muerta legno.morto
"""
"""Words by which a habitat text mentions wood as a material; `wood` alone can be a forest."""


def classify_habitat(text: str) -> str:
    """Return the class of `retrieval.domain.HABITATS` of a text; empty if none is recognised."""
    return _habitat(_plain(text)) if text else ""


def classify_substrate(text: str, habitat: str = "") -> str:
    """Return the class of `retrieval.domain.SUBSTRATES` of a text, or else of the habitat text; empty for none."""
    return (_substrate(_plain(text)) if text else "") or (_substrate_in_habitat(_plain(habitat)) if habitat else "")


@lru_cache(maxsize=65_536)
def _habitat(plain: str) -> str:
    """Trees name a forest's class; in open land they are ignored; alone, they imply a forest."""
    said = [name for name, words in HABITATS_BY.items() if words.search(plain)]
    forest = bool(ANY_FOREST.search(plain))
    if plain == " have ":  # a garden in Danish; not in an English sentence
        return "garden"
    first = next((name for name in said if name in ("wet-forest", "garden")), "")
    if first:
        return first
    trees = _trees(plain)
    if forest and trees:
        return trees
    return said[0] if said else trees


def _trees(plain: str) -> str:
    conifers, broadleaves = bool(ANY_CONIFER.search(plain)), bool(ANY_BROADLEAF.search(plain))
    if ANY_MIXED.search(plain) or (conifers and broadleaves):
        return "mixed-forest" if conifers or broadleaves or ANY_FOREST.search(plain) else ""
    return "coniferous-forest" if conifers else "deciduous-forest" if broadleaves else ""


@lru_cache(maxsize=65_536)
def _substrate(plain: str) -> str:
    """Narrow classes take precedence: wood chips, wood, then what lies on the ground."""
    first = ("dung", "burnt-ground", "mulch", "living-tree")
    for name in first:
        if SUBSTRATES_BY[name].search(plain):
            return name
    litter = SUBSTRATES_BY["litter"].search(plain)
    if not litter and ANY_WOOD.search(plain):
        return _wood(plain)
    return next((name for name, words in SUBSTRATES_BY.items() if name not in first and words.search(plain)), "")


def _wood(plain: str) -> str:
    kind = {"coniferous-forest": "coniferous-wood", "deciduous-forest": "deciduous-wood"}
    return kind.get(_trees(plain), "wood")


@lru_cache(maxsize=65_536)
def _substrate_in_habitat(plain: str) -> str:
    if SUBSTRATES_BY["dung"].search(plain) or SUBSTRATES_BY["burnt-ground"].search(plain):
        return "dung" if SUBSTRATES_BY["dung"].search(plain) else "burnt-ground"
    return _wood(plain) if ANY_STATED.search(plain) else ""


def _plain(text: str) -> str:
    """Return lower-case words separated and surrounded by single spaces."""
    words = re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", text[:400]).casefold())
    return f" {' '.join(words)} "


def _any_of(words: str) -> re.Pattern[str]:
    """Return a pattern for any of some words, which can be expressions; a dot matches a space."""
    parts = []
    for word in words.split():
        plain = word.casefold().replace(".?", " ?").replace(".", " ").replace("-", " ")
        if plain.startswith("="):
            parts.append(f" {plain[1:]} ")
        elif plain.startswith("*"):
            parts.append(f"{plain[1:]} ")
        else:
            parts.append(f" {plain}")
    return re.compile("|".join(parts))


HABITATS_BY: Final = {name: _any_of(words) for name, words in HABITAT_WORDS.items()}
SUBSTRATES_BY: Final = {name: _any_of(words) for name, words in SUBSTRATE_WORDS.items()}
ANY_CONIFER, ANY_BROADLEAF, ANY_FOREST = _any_of(CONIFERS), _any_of(BROADLEAVES), _any_of(FORESTS)
ANY_MIXED, ANY_WOOD, ANY_STATED = _any_of(MIXED), _any_of(WOODS), _any_of(STATED_IN_HABITAT)
