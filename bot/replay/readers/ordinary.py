"""Words that are names of people too, or of those who answer them: what is masked as a name only with care."""

from __future__ import annotations

_FIRST_NAMES = (
    "amber an angel april art ash august autumn bill blue brook chance chase china clay dawn do faith flint ginger "
    "grace grant guy happy harmony he heather holly honey hope hunter in iris ivy jack jade joy june justice lance "
    "lily mark max may melody merry miles min misty no ocean olive pansy pat patience pearl penny piper poppy prince "
    "ray rich river rob robin rocky rod rose ruby rusty sandy see skip sky so song star sterling summer sunny to "
    "trinity true van violet will win you"
)
_SURNAMES = (
    "baker ball bank banks bell best bird black bond brown burns bush butcher butler carpenter carter cash church "
    "coin cook cooper cotton cross day dear east english farmer field fields fisher flower flowers fox french friend "
    "gold good gray green grey hall hand hard hardy head hill hills holder hood house hunt judge key keys king knight "
    "lake land lane law little lock long lord love low marsh mason mills moon moss new noble north page painter park "
    "parks peace penny pond pool pope porter pot potter pound power price read reader rice ring rivers rock root salt "
    "seal sharp ship short silver singer small smart snow south spring steel stone street strong sun temple town wait "
    "walker wall ward waters way weeks west white wild wing winter wise wolf wood woods worth young"
)
_TEAMS = (
    "account accounts admin agent and anonymous assistant billing bot card care center centre chat company contact "
    "customer customers delivery department desk for from guest help home inbox info it live mail manager name number "
    "of office online operator order orders payment payments phone reception returns sales secret service services "
    "shop staff store support team the unknown user visitor web website"
)
_SMALL = (  # of names made up for a mailbox ("My Account"), and of names of several words ("Jan de Vries")
    "al all am are back been ben better bin but by can claim claims closed contacts da das de del den der di done "
    "du el en fast first free from get go had has have her here him his how if is its just kid la le les lo los los "
    "me miss more mr mrs ms my next not now off on one only open or our out own please post question questions "
    "refund refunds repair repairs request requests return returned shipment shipping some technical tell ten test "
    "that them then they this three ticket tickets tracking two under up update updates us use vom von want "
    "warranty was we were what when where which who why with would yes your zu zum zur"
)
ORDINARY = frozenset(f"{_FIRST_NAMES} {_SURNAMES} {_TEAMS} {_SMALL}".split())
