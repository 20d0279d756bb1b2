package run

import "math/rand/v2"

// randomName makes a name of two words for a container whose maker gave it none.
func randomName() string {
	return adjectives[rand.IntN(len(adjectives))] + "_" + nouns[rand.IntN(len(nouns))]
}

// adjectives describe weather, water and seamanship.
var adjectives = [...]string{
	"able", "afloat", "agile", "amber", "ample", "anchored", "azure", "balmy", "blithe", "blue", "bold", "bonny", "bracing", "brave",
	"breezy", "bright", "briny", "brisk", "buoyant", "calm", "candid", "cheerful", "clear", "coastal", "coral", "cosy", "crisp", "daring",
	"dashing", "deep", "deft", "distant", "drifting", "eager", "early", "easterly", "ebbing", "elegant", "even", "fair", "fearless", "fleet",
	"floating", "flowing", "foamy", "fond", "free", "fresh", "frosty", "gallant", "gentle", "gleaming", "gliding", "golden", "graceful",
	"gusty", "hardy", "hearty", "homeward", "hopeful", "humble", "jaunty", "jolly", "keen", "kind", "lively", "long", "lucid", "lucky",
	"lunar", "mellow", "merry", "mighty", "misty", "nimble", "noble", "northern", "pearly", "plucky", "polar", "proud", "quick", "quiet",
	"radiant", "ready", "restful", "rippling", "roaming", "roving", "rugged", "salty", "sandy", "seaworthy", "serene", "shining", "silent",
	"silver", "sleek", "smooth", "snug", "sober", "southern", "sparkling", "spirited", "stalwart", "starlit", "steady", "stellar", "stout",
	"strong", "sturdy", "sunlit", "sunny", "swift", "tidal", "tidy", "tranquil", "trim", "true", "trusty", "upbeat", "valiant", "vast",
	"vivid", "wakeful", "warm", "watchful", "wavy", "western", "whistling", "wide", "windy", "wise", "witty", "yielding", "zealous",
}

// nouns are vessels, their parts, those who sail them, and whom they meet.
var nouns = [...]string{
	"admiral", "albatross", "anchor", "argosy", "atoll", "auk", "ballast", "barge", "bark", "barnacle", "barque", "bay", "beacon", "beluga",
	"bilge", "binnacle", "bittern", "bollard", "boom", "bosun", "bow", "bowline", "bowsprit", "brig", "brigantine", "buoy", "cabin", "canoe",
	"cape", "capstan", "caravel", "catamaran", "channel", "clam", "cleat", "clipper", "clove", "cockle", "cog", "commodore", "compass",
	"cormorant", "corvette", "coxswain", "crab", "crew", "current", "cutter", "davit", "deck", "delta", "dhow", "dinghy", "dock", "dolphin",
	"dory", "dugong", "eider", "estuary", "fathom", "felucca", "fender", "ferry", "fjord", "flagship", "frigate", "fulmar", "galleon",
	"galley", "gannet", "grebe", "guillemot", "gull", "gunwale", "halyard", "harbour", "hatch", "hawser", "headland", "helm", "heron",
	"herring", "hull", "inlet", "island", "islet", "jetty", "jib", "junk", "kayak", "keel", "kelp", "ketch", "kittiwake", "knot", "kraken",
	"lagoon", "lantern", "lateen", "leeward", "lighthouse", "limpet", "lobster", "lugger", "mackerel", "manatee", "marina", "mariner",
	"marlin", "mast", "mate", "mooring", "mussel", "narwhal", "nautilus", "navigator", "oar", "osprey", "otter", "oyster", "paddle", "pelican",
	"penguin", "periwinkle", "petrel", "pier", "pilot", "plover", "porpoise", "porthole", "prow", "puffin", "punt", "purser", "quay", "raft",
	"reef", "regatta", "rigging", "rowlock", "rudder", "sail", "sailor", "salmon", "sampan", "schooner", "scull", "seal", "sextant", "shoal",
	"shrimp", "skerry", "skiff", "skipper", "sloop", "spar", "spinnaker", "squall", "squid", "starboard", "starfish", "stern", "strait",
	"sturgeon", "swell", "tern", "tide", "tiller", "topsail", "trawler", "trimaran", "triton", "tug", "turtle", "vessel", "voyage", "walrus",
	"wave", "wharf", "wherry", "whale", "winch", "windlass", "xebec", "yacht", "yardarm", "yawl", "zephyr",
}
